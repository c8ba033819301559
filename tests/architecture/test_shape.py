"""Sizes that keep a file readable, names that say something, and lists that are held equal."""

import ast
import hashlib
import re
import statistics
from pathlib import Path

import pytest

from signoff_server.world import FAILPOINTS
from tests.architecture.test_arrows import MODULES, ROOT

# Data or a table, not logic: file -> why it may be longer.
LONG_FILES: dict[str, str] = {
    "signoff.protocol.models": "every message on the wire, in one place",
    "signoff.protocol.workflows": "every message of workflows, in one place",
}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}


def lengths(module: str) -> list[int]:
    tree = ast.parse(MODULES[module].read_text())
    return [
        (node.end_lineno or 0) - node.body[0].lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_functions_are_short() -> None:
    every = sorted(length for module in MODULES for length in lengths(module))
    assert statistics.median(every) <= 10
    assert every[int(len(every) * 0.9)] <= 30


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_are_short(module: str) -> None:
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= 400 or module in LONG_FILES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_says_what_it_is_and_has_a_telling_name(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text()))
    assert not VAGUE & set(module.split("."))


def test_the_failpoints_are_those_that_the_code_passes() -> None:
    text = "\n".join(path.read_text() for path in MODULES.values())
    passed = re.findall(r"failpoint\(\"([a-z_.]+)\"\)", text)
    assert sorted(set(passed)) == sorted(FAILPOINTS)


def test_no_test_sleeps() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
                argument = node.args[0] if node.args else None
                assert isinstance(argument, ast.Constant), f"{path.name}:{node.lineno} sleeps"
                assert argument.value == 0, f"{path.name}:{node.lineno} sleeps"


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    here = Path(__file__)
    for folder in ("sdk", "backend", "tests", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            assert path == here or not marks.search(path.read_text()), path


def test_what_was_taken_from_others_is_as_it_came() -> None:
    folder = ROOT / "backend" / "signoff_server" / "dashboard" / "static"
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {path.name for path in folder.glob("*.min.js")}
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums} == sums
