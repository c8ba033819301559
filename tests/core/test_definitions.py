"""Workflow files: golden ones, good and bad, and what an editor's schema says of them.

`python -m tests.core.test_definitions` writes the expectations anew; look at what changed before you keep it.
"""

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from dataclasses import MISSING, builtins, fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from signoff.protocol import models, workflows
from signoff_server.core import grammar
from signoff_server.core.definitions import DefinitionInvalid, check_input, read, read_policy, schema
from signoff_server.core.files import MAX_FAULTS, parse
from signoff_server.core.graph import Definition
from signoff_server.core.policies import NO_POLICY, Policy

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


def test_a_large_file_is_cut_at_fifty_faults() -> None:
    nodes = "".join(f"  n{at}: {{type: wait, for: 1s, next: x{at}, policy: {{}}}}\n" for at in range(500))
    with pytest.raises(DefinitionInvalid) as caught:
        read(b"workflow: {id: a, version: 1.0.0, start: n0}\nnodes:\n" + nodes.encode())
    assert len(caught.value.faults) == MAX_FAULTS


@pytest.mark.parametrize("size", [2, 300])
def test_a_chain_of_any_length_is_walked(size: int) -> None:
    nodes = "".join(f"  n{at}: {{type: wait, for: 1s, next: n{at + 1}}}\n" for at in range(size))
    (definition,) = read(
        f"workflow: {{id: a, version: 1.0.0, start: n0}}\nnodes:\n{nodes}  n{size}: {{type: end}}\n".encode()
    )
    assert len(definition.nodes) == size


def test_regions_nest_as_deep_as_a_file_goes() -> None:
    nodes = "".join(f"  n{at}: {{type: parallel, branches: [n{at + 1}], next: end}}\n" for at in range(300))
    source = (
        f"workflow: {{id: a, version: 1.0.0, start: n0}}\nnodes:\n{nodes}  n300: {{type: wait, for: 1s, next: end}}\n"
    )
    (definition,) = read(source.encode())
    assert definition.nodes["n300"].within == "n299"
    assert definition.nodes["n1"].within == "n0"


# ---------------------------------------------------------------- the schema for editors


VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    json.dumps(schema())
    assert all(field.about for kind in grammar.NODES.values() for field in kind.values())


@pytest.mark.parametrize("path", GOOD, ids=stem)
def test_the_schema_accepts_every_good_file(path: Path) -> None:
    VALIDATOR.validate(parse(path.read_bytes()).data)


# What only the whole file shows, or what JSON Schema cannot say.
BEYOND_A_SCHEMA = {
    *(
        "approvals",
        "branches",
        "input_shape",
        "empty",
        "expressions",
        "not_yaml",
        "schema_in_a_circle",
        "unknown_names",
    ),
    *("region_entered", "region_in_region", "region_left", "regions_shared", "unreachable", "yaml_tricks"),
}


@pytest.mark.parametrize("path", [path for path in BAD if path.stem not in BEYOND_A_SCHEMA], ids=stem)
def test_the_schema_refuses_the_bad_ones_that_a_schema_can(path: Path) -> None:
    assert not VALIDATOR.is_valid(parse(path.read_bytes()).data)


def test_every_kind_of_node_and_each_of_its_fields_is_in_a_good_file() -> None:
    seen: dict[str, set[str]] = {}
    for path in GOOD:
        for node in parse(path.read_bytes()).data["nodes"].values():
            seen.setdefault(node["type"], set()).update(set(node) - {"type"})
    assert seen == {name: set(known) for name, known in grammar.NODES.items()}


def test_names_mean_the_same_here_and_on_the_wire() -> None:
    pairs = [
        (grammar.WORKFLOW_ID, workflows.WORKFLOW_ID_PATTERN),
        (grammar.NODE_ID, workflows.NODE_ID_PATTERN),
        (grammar.TOOL, workflows.TOOL_PATTERN),
        (grammar.SIGNAL, workflows.SIGNAL_PATTERN),
        (grammar.REVIEWER, models.PRINCIPAL_NAME_PATTERN),
    ]
    for here, there in pairs:
        assert f"^{here}$" == there
    assert re.fullmatch(grammar.VERSION, "1.0.0-rc.1")
    assert not re.fullmatch(grammar.VERSION, "01.0.0")


# ---------------------------------------------------------------- policies and inputs


def test_a_policy_is_read_at_the_top_or_below_its_name() -> None:
    expected = Policy(("a.*",), ("b.*",), ("c.d",), "block")
    keys = "blocked_tools: [a.*]\nrequire_approval_for:\n- match: b.*\nallow: [c.d]\ndefault: block\n"
    assert read_policy(keys.encode()) == expected
    assert read_policy(b"policy:\n" + b"".join(b"  " + line + b"\n" for line in keys.encode().splitlines())) == expected
    assert read_policy(b"{}") == NO_POLICY
    assert read_policy(b"policy: {}") == NO_POLICY


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "1:1  the file is empty"),
        ("policy:", "1:8 /policy a policy is a mapping with"),
        ("- a", "1:1  a policy is a mapping with"),
        ("allow: ['*']", "1:9 /allow/0 the first segment"),
        ("policy: {deny: [a]}", "1:10 /policy/deny unknown key"),
        ("policy: {}\nallow: []", "1:1 /policy unknown key"),
        ("workflow: {}", "1:1 /workflow unknown key"),
        ("allow: &x [a]", "1:8 /allow anchors"),
    ],
)
def test_a_bad_policy_is_told_where(source: str, told: str) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        read_policy(source.encode())
    fault = caught.value.faults[0]
    assert f"{fault.line}:{fault.column} {fault.pointer} {fault.message}".startswith(told)


def with_input(input_schema: object) -> Definition:
    file = {
        "workflow": {"id": "a", "version": "1.0.0", "start": "end", "input_schema": input_schema},
        "nodes": {"end": {"type": "end"}},
    }
    (definition,) = read(json.dumps(file).encode())
    return definition


def test_an_input_is_checked_against_its_schema() -> None:
    definition = read((FOLDER / "good" / "schema_of_input.yaml").read_bytes())[0]
    assert check_input(definition, {"lines": [{"sku": "a-1", "count": 2}], "when": None}) == []
    found = check_input(definition, {"lines": [{"sku": "a1"}, {"count": 0}], "far too long": 1, "when": "x"})
    assert [pointer for pointer, _ in found] == ["", "/lines/0/sku", "/lines/1", "/lines/1/count", "/when"]
    assert "too long" in dict(found)[""]
    assert check_input(definition, {"lines": [{"sku": "a-1"}, {"sku": "a-1"}]}) == [
        ("/lines", "an item stands in this list twice")
    ]
    assert check_input(definition, {"lines": []})
    assert check_input(definition, []) == [("", "[] is not of type 'object'")]


def test_without_a_schema_any_input_passes() -> None:
    assert (
        check_input(read(b"workflow: {id: a, version: 1.0.0, start: end}\nnodes: {end: {type: end}}")[0], {"a": 1})
        == []
    )


def test_pointers_into_an_input_are_escaped() -> None:
    definition = with_input({"properties": {"a/b": {"properties": {"c~d": {"type": "null"}}}}})
    assert [pointer for pointer, _ in check_input(definition, {"a/b": {"c~d": 1}})] == ["/a~1b/c~0d"]


def test_patterns_take_linear_time_and_never_pythons() -> None:
    definition = with_input({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    begin = time.process_time()
    assert check_input(definition, {"a": "a" * 50_000 + "!"})
    assert time.process_time() - begin < 1


def test_a_large_input_against_a_large_schema_is_refused_before_it_is_checked() -> None:
    definition = with_input({"items": {"enum": list(range(1_900))}, "properties": {"a": {"type": "array"}}})
    begin = time.process_time()
    assert "too large" in check_input(definition, {"a": list(range(20_000))})[0][1]
    assert time.process_time() - begin < 1


def test_what_is_wrong_with_an_input_is_told_in_bounds() -> None:
    definition = with_input({"properties": {"a": {"items": {"type": "string", "maxLength": 1}}}})
    found = check_input(definition, {"a": [*range(100), "x" * 10_000]})
    assert len(found) <= MAX_FAULTS
    assert all(len(message) <= 300 for _, message in found)


REMOTE = [
    {"$ref": "http://127.0.0.1:9/x"},
    {"$ref": "file:///etc/passwd"},
    {"$ref": "other.json"},
    {"$ref": "#anchor"},
    {"$ref": "#/properties/a"},
    {"$ref": "#"},
    {"$ref": 1},
    {"$dynamicRef": "http://127.0.0.1:9/x"},
    {"$recursiveRef": "#"},
    {"$schema": "http://127.0.0.1:9/schema"},
    {"$id": "http://127.0.0.1:9/"},
    {"properties": {"a": {"allOf": [{"$ref": "http://127.0.0.1:9/x"}]}}},
    {"$defs": {"a": {"if": {"$ref": "http://127.0.0.1:9/x"}}}},
    {"$vocabulary": {"http://127.0.0.1:9/": True}},
]


@pytest.mark.parametrize("input_schema", REMOTE, ids=json.dumps)
def test_a_schema_reaches_nothing_outside_itself(input_schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*args: object, **kwargs: object) -> None:
        raise AssertionError("reading a file reached for the network")

    monkeypatch.setattr(socket, "socket", reached)
    monkeypatch.setattr(urllib.request, "urlopen", reached)
    with pytest.raises(DefinitionInvalid, match=r"\$ref leads|dialect|keyword"):
        with_input(input_schema)


def test_references_that_multiply_are_counted() -> None:
    defined: dict[str, object] = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 4} for at in range(15)}
    with pytest.raises(DefinitionInvalid, match="too large"):
        with_input({"$ref": "#/$defs/d0", "$defs": {**defined, "d15": True}})


@pytest.mark.parametrize("size", [30, 300, 600])
def test_references_that_go_too_deep_are_refused(size: int) -> None:
    defined: dict[str, object] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(size)}
    if size < 40:
        definition = with_input({"$ref": "#/$defs/d0", "$defs": {**defined, f"d{size}": {"required": ["a"]}}})
        assert check_input(definition, {}) == [("", "'a' is a required property")]
    else:
        with pytest.raises(DefinitionInvalid, match=r"too deep|too far"):
            with_input({"$ref": "#/$defs/d0", "$defs": {**defined, f"d{size}": True}})


def test_a_schema_has_so_many_patterns() -> None:
    with pytest.raises(DefinitionInvalid, match="at most 100 patterns"):
        with_input({"properties": {f"p{at}": {"pattern": "a"} for at in range(101)}})


def test_expressions_have_a_length_together() -> None:
    nodes = "".join(f"      k{at}: ${{{{ {'1+' * 200}1 }}}}\n" for at in range(200))
    source = f"workflow: {{id: a, version: 1.0.0, start: a}}\nnodes:\n  a:\n    type: tool\n    input:\n{nodes}"
    with pytest.raises(DefinitionInvalid, match="have together"):
        read(f"{source}    tool_ref: t\n    next: end\n".encode())


def test_reading_a_file_runs_nothing_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (*GOOD, *BAD):
        source = path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(builtins, "open", lambda *args, **kwargs: pytest.fail("reading a file opened another"))
            patched.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail("reading a file ran something"))
            patched.setattr(socket, "socket", lambda *args, **kwargs: pytest.fail("reading a file reached out"))
            with contextlib.suppress(DefinitionInvalid):
                read(source)


if __name__ == "__main__":
    for path in GOOD:
        path.with_suffix(".graph").write_text(graph_of(read(path.read_bytes())[0]))
    for path in BAD:
        path.with_suffix(".errors").write_text(errors_of(path.read_bytes()))
