"""The table of commands: nothing is imported before it is called."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from signoff._version import __version__
from signoff.cli import commands, main, signoff

COSTLY = ("pydantic", "httpx", "websockets", "tenacity", "asyncio", "sqlalchemy", "uvicorn", "signoff_server")


def modules_after(code: str, tmp_path: Path) -> set[str]:
    """What is loaded when `code` has run in a process of its own."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("name", sorted(commands.OWN))
def test_the_table_names_each_command_as_it_is(name: str) -> None:
    command = signoff.get_command(click.Context(signoff), name)
    assert command is not None
    assert command.name == name
    # The table's short help is the beginning of what the command says of itself.
    said = (command.help or "").split("\n")[0]
    assert said.startswith(commands.OWN[name].help[:9])


@pytest.mark.parametrize("name", sorted(commands.ADDED))
def test_the_table_knows_the_server_s_commands(name: str) -> None:
    entry = {each.name: each for each in entry_points(group=commands.GROUP)}[name]
    assert entry.load().get_short_help_str(limit=200).startswith(commands.ADDED[name][:9])


def test_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    code = "from signoff.cli import signoff\nsignoff.main(['--help'], standalone_mode=False)"
    loaded = modules_after(code, tmp_path)
    assert not {name for name in loaded if name.partition(".")[0] in ("httpx", "pydantic", "signoff_server", "uvicorn")}
    assert not {f"signoff.cli.{own.module}" for own in commands.OWN.values()} & loaded
    shown = CliRunner().invoke(signoff, ["--help"]).stdout
    for name in [*commands.OWN, *commands.ADDED]:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("name", sorted(commands.OWN))
def test_every_command_has_help_and_json(name: str) -> None:
    result = CliRunner().invoke(signoff, [name, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "--key" not in result.stdout


def test_the_command_line_s_own_files_import_nothing_costly() -> None:
    """What `config` brings along is the SDK's; these files add none of it."""
    folder = Path(commands.__file__).parent
    for file in folder.glob("*.py"):
        text = file.read_text()
        assert not [name for name in COSTLY if f"import {name}" in text or f"from {name}" in text], file.name


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("dev", "signoff_server.nowhere:dev", commands.GROUP)
    monkeypatch.setattr(commands, "_added", lambda: {"dev": entry})
    result = CliRunner().invoke(signoff, ["dev"])
    assert result.exit_code == 3
    assert "pip install 'signoff[server]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_broken_plug_in_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("extra", "no_such_package:command", commands.GROUP)
    monkeypatch.setattr(commands, "_added", lambda: {"extra": entry})
    result = CliRunner().invoke(signoff, ["extra"])
    assert result.exit_code == 3
    assert "install no_such_package anew" in result.stderr
    assert "Added by no_such_package." in CliRunner().invoke(signoff, ["--help"]).stdout


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(signoff, ["approval"]).exit_code == 2


def test_the_version() -> None:
    assert CliRunner().invoke(signoff, ["version"]).stdout == f"signoff {__version__}\n"
    assert CliRunner().invoke(signoff, ["--version"]).stdout == f"signoff {__version__}\n"
    assert CliRunner().invoke(signoff, ["version", "--json"]).stdout == f'{{"version": "{__version__}"}}\n'


def test_the_entry_point_ends_with_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["version"])
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_output_that_cannot_be_written_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no full disk to write to")
    code = "from signoff.cli import main; main(['version'])"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_a_terminal_without_the_character_gets_its_escape() -> None:
    code = (
        "from signoff.cli import main; import click, signoff.cli.version as v; v.__version__ = 'é→'; main(['version'])"
    )
    env = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"signoff \xe9\\u2192\n")


def test_every_file_of_the_command_line_is_reached() -> None:
    folder = Path(commands.__file__).parent
    for file in folder.glob("*.py"):
        importlib.import_module(f"signoff.cli.{file.stem}".removesuffix(".__init__"))


@pytest.mark.parametrize("name", sorted(commands.OWN))
def test_no_command_imports_what_costs_more_than_the_rest_of_it(name: str, tmp_path: Path) -> None:
    code = f"import click\nfrom signoff.cli import signoff\nsignoff.get_command(click.Context(signoff), {name!r})"
    loaded = {module.partition(".")[0] for module in modules_after(code, tmp_path)}
    assert not loaded & set(COSTLY)
