"""The tools of a worker from its files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff import ConfigurationError
from signoff.worker.toolbox import Toolbox, load
from signoff.worker.yaml_file import MissingExtra

ONE = "import signoff\n@signoff.tool('{name}')\ndef one() -> None: ...\n"


@pytest.fixture(autouse=True)
def _imports_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def box(folder: Path, **files: str) -> Toolbox:
    """`_` in a name stands for the dot."""
    paths = []
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.write_text(text)
        paths.append(path)
    return load(paths, variables={"TOKEN": "tok-4711", "SHORT": "v2"})


def test_tools_of_all_files_are_offered(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(ONE.format(name="from.beside"))
    found = box(
        tmp_path,
        tools_py="from __future__ import annotations\nimport beside\n" + ONE.format(name="a.one"),
        more_py=ONE.format(name="a.two"),
        tools_yaml="b.one: {kind: http, method: GET, url: 'https://x/'}",
    )
    assert {each.name: each.idempotent for each in found.offered} == {
        "from.beside": False,
        "a.one": False,
        "a.two": False,
        "b.one": True,
    }
    assert found.get("a.one") is not None
    assert found.get("A.one") is None, "a tool has one canonical name"


def test_a_file_called_as_a_module_hides_none(tmp_path: Path) -> None:
    found = box(tmp_path, json_py="import json\njson.loads('1')\n" + ONE.format(name="a.one"))
    assert [each.name for each in found.offered] == ["a.one"]
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")


def test_secrets_are_known_to_the_toolbox_and_short_ones_told(tmp_path: Path) -> None:
    text = "b.one: {kind: http, method: GET, url: 'https://x/', headers: {A: '${env:TOKEN} ${env:SHORT}'}}"
    found = box(tmp_path, tools_yaml=text)
    assert found.redactor.text("tok-4711 v2") == "[redacted] v2"
    assert found.warnings == ("SHORT is too short to be told from ordinary text: it is not redacted",)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"tools_py": ""}, "The files hold no tools"),
        ({"tools_yaml": ""}, "The files hold no tools"),
        ({"tools_txt": ""}, "they end in .py"),
        ({"tools_py": "x = 1\nraise ValueError('no')"}, "tools.py cannot be loaded: ValueError: no (line 2)"),
        ({"tools_py": "def broken(:"}, "tools.py cannot be loaded: SyntaxError"),
        ({"tools_py": "import sys; sys.exit(0)"}, "cannot be loaded: SystemExit"),
        ({"tools_py": "import no_such_library"}, "ModuleNotFoundError: No module named 'no_such_library' (line 1)"),
        ({"tools_py": ONE.format(name="a b")}, "tools.py: 'a b' is no name for a tool"),
        ({"tools_py": ONE.format(name="a.one") * 2}, "Two tools are called a.one: at "),
        ({"tools_py": ONE.format(name="a.one"), "more_py": ONE.format(name="A.ONE")}, "Two tools are called A.ONE"),
        (
            {"tools_py": ONE.format(name="a.one"), "tools_yaml": "a.one: {kind: http, method: GET, url: 'https://x'}"},
            "tools.yaml, line 1, column 8. Rename one.",
        ),
        ({"tools_py": "\n".join(ONE.format(name=f"a.t{n}") for n in range(501))}, "at most 500 tools"),
        ({"tools_yaml": "a: {kind: http}"}, "tools.yaml: line 1, column 4: a.method: Field required"),
        ({"tools_yaml": "a: {kind: http, method: GET, url: '${env:NO}'}"}, "the environment has no NO"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, files: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        box(tmp_path, **files)
    assert told in str(raised.value)


def test_what_a_file_raises_shows_no_secret(tmp_path: Path) -> None:
    text = "b.one: {kind: http, method: GET, url: 'https://x/', headers: {A: '${env:TOKEN}'}}"
    with pytest.raises(ConfigurationError, match=r"ValueError: no \[redacted\] \(line 1\)"):
        box(tmp_path, tools_py="raise ValueError('no tok-4711')", tools_yaml=text)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("mine.py", "mine.yaml", "mine.yml"):
        with pytest.raises(ConfigurationError, match=r"There is no .*mine\.y?"):
            load([tmp_path / name], variables={})


def test_what_is_allowed_is_checked_even_without_http_tools(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(ONE.format(name="a.one"))
    with pytest.raises(ConfigurationError, match="`allow` cannot take"):
        load([tmp_path / "tools.py"], variables={}, allow=("*",))


def test_the_parser_is_only_wanted_for_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert box(tmp_path, tools_py=ONE.format(name="a.one")).offered
    with pytest.raises(MissingExtra):
        box(tmp_path, tools_yaml="a: 1")
