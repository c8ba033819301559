"""The README is true: its code runs, its commands exist, its settings are the settings."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from signoff_server.settings import Settings
from tests.support.databases import only
from tests.support.server import RunningServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(
    set(re.findall(r"signoff ([a-z]+)(?= |$|`)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))))
)
SIGNOFF = Path(sys.executable).with_name("signoff")
SAID = [
    ["sending, with the idempotency key apr_"],
    ["may be sent: approved", "refunded 129.00 under apr_", "ann approved", "ben approved"],
    ["deploying"],
    ["3 passed"],
    ["ran under payments.refund", "refused: not today"],
]


def test_there_is_an_expectation_for_each_snippet() -> None:
    # The last two are of workflows, and are run by a test of their own.
    assert len(SNIPPETS) == len(SAID) + 2


@only("sqlite")
@pytest.mark.parametrize("number", range(len(SAID)))
def test_a_snippet_runs_as_it_stands(dev_server: RunningServer, number: int) -> None:
    folder = dev_server.folder
    (folder / "snippet.py").write_text(SNIPPETS[number])
    how = ["-m", "pytest", "-W", "error"] if "def test_" in SNIPPETS[number] else []
    command = [sys.executable, *how, "snippet.py"]
    with (
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        httpx.Client(base_url=dev_server.url, headers=dev_server.reviewer()) as reviewer,
    ):
        while process.poll() is None:
            for one in reviewer.get("/v1/approvals?status=pending").json()["data"]:
                reviewer.post(f"/v1/approvals/{one['id']}/decision", json={"decision": "approved"})
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0, said
    for part in SAID[number]:
        assert part in said


@only("sqlite")
def test_the_first_snippet_says_what_a_rejection_says(dev_server: RunningServer) -> None:
    folder = dev_server.folder
    (folder / "wire.py").write_text(SNIPPETS[0])
    with subprocess.Popen([sys.executable, "wire.py"], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        while not (listed := httpx.get(f"{dev_server.url}/v1/approvals", headers=dev_server.reviewer()).json()["data"]):
            assert process.poll() is None
        done = subprocess.run(
            [SIGNOFF, "reject", listed[0]["id"], "--reason", "not on our list"],
            cwd=folder,
            capture_output=True,
            check=True,
        )
        assert b"rejected" in done.stdout
        assert process.stdout is not None
        assert process.stdout.read() == "not sent: not on our list\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists(command: str) -> None:
    done = subprocess.run([SIGNOFF, command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_settings_are_the_settings() -> None:
    rows = re.findall(
        r"^\| `SIGNOFF_([A-Z_]+)` \| (?:`--([a-z-]+)`)? ?\| (?:`([^`]*)`)? ?\| (.*) \|$", README, re.MULTILINE
    )
    told = {name.lower(): (default, text) for name, _, default, text in rows}
    real = {
        name: ("" if field.default in (None, ()) else str(field.default), field.description)
        for name, field in Settings.model_fields.items()
    }
    assert told == real
    for name, option, _, _ in rows:
        assert option in ("", name.lower().replace("_", "-"))


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_the_parts_of_the_tests_are_the_whole() -> None:
    parts = re.findall(r"^\t\$\(BIN\)/pytest .*?(tests/.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[:3]
    named = {folder for part in parts for folder in part.split()}
    assert named == {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}


def test_the_files_it_names_are_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "examples").glob("*/README.md")]
    for page in pages:
        for name in re.findall(r"\]\(([A-Za-z_./]+)\)", page.read_text()):
            assert (page.parent / name).exists(), name


def test_the_chapters_it_names_are_there() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    slugs = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", README.replace("\n", ""))) <= slugs
