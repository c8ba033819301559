"""Workflow files: golden ones, good and bad, and what an editor's schema says of them.

`python -m tests.core.test_definitions` writes the expectations anew; look at what changed before you keep it.
"""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from signoff_server.core.definitions import (
    DefinitionInvalid,
    read,
)
from signoff_server.core.files import MAX_FAULTS
from signoff_server.core.graph import Definition

FOLDER = Path(__file__).parent / "definitions"
GOOD = sorted((FOLDER / "good").glob("*.yaml"))
BAD = sorted((FOLDER / "bad").glob("*.yaml"))


def stem(path: Path) -> str:
    return path.stem


def described(thing: Any) -> str:
    """Type and fields of a part of the graph, less what is left at its default."""
    if isinstance(thing, frozenset):
        return f"{{{', '.join(sorted(thing))}}}"
    if isinstance(thing, tuple):
        return f"[{', '.join(described(item) for item in thing)}]"
    if not hasattr(thing, "__dataclass_fields__"):
        return repr(thing)
    shown = []
    for each in fields(thing):
        value = getattr(thing, each.name)
        made = each.default_factory() if each.default_factory is not MISSING else each.default
        if each.name not in ("id", "nodes") and value != made:
            shown.append(f"{each.name}={described(value)}")
    return f"{type(thing).__name__}({', '.join(shown)})"


def graph_of(definition: Definition) -> str:
    lines = [f"{definition.id}: {described(definition)}"]
    lines += [f"{name}: {described(node)}" for name, node in definition.nodes.items()]
    assert all(name == node.id for name, node in definition.nodes.items())
    return "\n".join(lines) + "\n"


def errors_of(source: bytes) -> str:
    with pytest.raises(DefinitionInvalid) as caught:
        read(source)
    lines = [f"{each.line}:{each.column} {each.pointer or '/'} {each.message}" for each in caught.value.faults]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", GOOD, ids=stem)
def test_a_good_file_becomes_its_graph(path: Path) -> None:
    (definition,) = read(path.read_bytes())
    assert graph_of(definition) == path.with_suffix(".graph").read_text()


@pytest.mark.parametrize("path", BAD, ids=stem)
def test_a_bad_file_is_told_every_fault_of_it(path: Path) -> None:
    assert errors_of(path.read_bytes()) == path.with_suffix(".errors").read_text()


@pytest.mark.parametrize("path", BAD, ids=stem)
def test_faults_come_in_order_and_not_too_many(path: Path) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        read(path.read_bytes())
    places = [(fault.line, fault.column) for fault in caught.value.faults]
    assert places == sorted(places)
    assert 1 <= len(places) <= MAX_FAULTS
    lines = path.read_text().split("\n")
    assert all(line <= len(lines) and column <= len(lines[line - 1]) + 1 for line, column in places)


if __name__ == "__main__":
    for path in GOOD:
        path.with_suffix(".graph").write_text(graph_of(read(path.read_bytes())[0]))
    for path in BAD:
        path.with_suffix(".errors").write_text(errors_of(path.read_bytes()))
