"""YAML as data with its places; and what hostile files cost."""

import json
import time
import tracemalloc
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.protocol.canonical import check
from signoff_server.core.definitions import read
from signoff_server.core.files import MAX_BYTES, MAX_FAULTS, DefinitionInvalid, Fault, parse

MILLISECONDS = 50
MEBIBYTES = 32


def faults(source: str | bytes) -> tuple[Fault, ...]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse(source if isinstance(source, bytes) else source.encode())
    return caught.value.faults


def told(source: str | bytes) -> list[str]:
    return [f"{fault.line}:{fault.column} {fault.pointer} {fault.message}" for fault in faults(source)]


def test_data_and_places() -> None:
    document = parse(b"a: 1\nb:\n  - x\n  - {c: 'y', d: null}\n")
    assert document.data == {"a": 1, "b": ["x", {"c": "y", "d": None}]}
    assert document.values == {
        (): (1, 1),
        ("a",): (1, 4),
        ("b",): (3, 3),
        ("b", 0): (3, 5),
        ("b", 1): (4, 5),
        ("b", 1, "c"): (4, 9),
        ("b", 1, "d"): (4, 17),
    }
    assert document.keys == {("a",): (1, 1), ("b",): (2, 1), ("b", 1, "c"): (4, 6), ("b", 1, "d"): (4, 14)}


def test_a_fault_stands_at_its_value_or_at_the_key_of_what_has_parts() -> None:
    document = parse(b"a:\n  b: 1\n")
    assert document.fault(("a", "b"), "m") == Fault(2, 6, "/a/b", "m")
    assert document.fault(("a", "b"), "m", key=True) == Fault(2, 3, "/a/b", "m")
    assert document.fault(("a",), "m") == Fault(1, 1, "/a", "m")
    assert document.fault(("a", "b", "c~/d"), "m") == Fault(2, 6, "/a/b/c~0~1d", "m")
    assert document.fault(("x",), "m") == Fault(1, 1, "/x", "m")


def test_it_is_the_core_schema_of_yaml_1_2() -> None:
    source = """
    texts: [no, yes, on, off, y, n, 12:30:45, 2026-01-01, 1_000, 0b1, 0o8, 'true', "1", 1.2.3, +, ., ~a, 1e, 0x]
    constants: [true, True, TRUE, false, False, FALSE, null, Null, NULL, ~, ]
    integers: [0, -0, 7, 007, +5, -5, 0o17, 0xfF, 9007199254740991, -9007199254740991]
    floats: [1.5, -.5, 1., 1e3, 1.0e-3, 1e21]
    """
    data = parse(source.encode()).data
    assert all(isinstance(text, str) for text in data["texts"])
    assert data["constants"] == [True] * 3 + [False] * 3 + [None] * 4
    assert data["integers"] == [0, 0, 7, 7, 5, -5, 15, 255, 2**53 - 1, 1 - 2**53]
    assert data["floats"] == [1.5, -0.5, 1.0, 1000.0, 0.001, 1e21]
    assert parse(b"a:\n").data == {"a": None}


BAD = {
    "anchor": ("a: &x 1\n", "/a", "anchors"),
    "anchored mapping": ("a: &x {b: 1}\n", "/a", "anchors"),
    "alias": ("a: *x\n", "/a", "aliases"),
    "merge key": ("<<: {a: 1}\n", "", "merge keys"),
    "tag": ("a: !!str 1\n", "/a", "tags"),
    "own tag": ("a: !x 1\n", "/a", "tags"),
    "bare tag": ("a: ! 1\n", "/a", "tags"),
    "python tag": ("a: !!python/object/apply:os.system ['exit 1']\n", "/a", "tags"),
    "tagged mapping": ("!!map {a: 1}\n", "", "tags"),
    "two documents": ("a: 1\n---\nb: 1\n", "", "one document"),
    "YAML directive": ("%YAML 1.1\n---\na: 1\n", "", "directives"),
    "TAG directive": ("%TAG ! tag:x,1:\n---\na: 1\n", "", "directives"),
    "number as key": ("1: a\n", "", "a key is text"),
    "true as key": ("true: a\n", "", "a key is text"),
    "null as key": ("null: a\n", "", "a key is text"),
    "no key": (": a\n", "", "not YAML"),
    "key that is nothing": ("? \n: b\n", "", "a key is text"),
    "list as key": ("[a]: b\n", "", "a key is text"),
    "mapping as key": ("{a: b}: c\n", "", "a key is text"),
    "complex key": ("? - a\n: b\n", "", "a key is text"),
    "long key": (f"{'k' * 257}: 1\n", "", "256 bytes"),
    "infinity": ("a: .inf\n", "/a", "finite"),
    "less than infinity": ("a: -.INF\n", "/a", "finite"),
    "not a number": ("a: .nan\n", "/a", "finite"),
    "overflowing float": ("a: 1e999\n", "/a", "finite"),
    "large integer": ("a: 9007199254740992\n", "/a", "2^53"),
    "large negative": ("a: -9007199254740992\n", "/a", "2^53"),
    "large hexadecimal": ("a: 0xFFFFFFFFFFFFFFFF\n", "/a", "2^53"),
    "large float": ("a: 1e17\n", "/a", "2^53"),
    "U+0000": ('a: "\\0"\n', "/a", "U+0000"),
    "U+0000 in a key": ('"\\0": a\n', "", "U+0000"),
    "raw U+0000": ("a: \x00\n", "", "U+0000"),
    "escape": ("a: \x1b[31m\n", "", "U+001B"),
    "lone surrogate": ('a: "\\ud800"\n', "/a", "not YAML"),
    "empty": ("", "", "empty"),
    "comment only": ("# nothing\n", "", "empty"),
    "no YAML": ("a: b: c\n", "", "not YAML"),
    "tab": ("a:\n\tb: c\n", "/a", "not YAML"),
    "open list": ("a: [b\n", "", "not YAML"),
    "too deep": ("a: " + "[" * 32 + "]" * 32, "/a" + "/0" * 31, "deeper than 32"),
    "too many values": ("- a\n" * 5_000, "/4999", "5000 values"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    source, pointer, words = BAD[name]
    first = faults(source)[0]
    assert words in first.message
    assert first.pointer.startswith(pointer)


def test_bytes_that_are_not_utf_8_are_refused_where_they_stand() -> None:
    assert told(b"a: b\nc: \xff") == ["2:4  this is not UTF-8: save the file as UTF-8"]
    assert told("a: b".encode("utf-16"))[0].startswith("1:1  this is not UTF-8")
    assert told(b"a: \xed\xa0\x80")[0].startswith("1:4  this is not UTF-8")
    assert parse("\ufeffa: é 😀".encode()).data == {"a": "é 😀"}


def test_the_largest_depth_is_read() -> None:
    assert parse(("[" * 32 + "]" * 32).encode()).data


def test_all_faults_are_told_at_once_and_in_order() -> None:
    assert told("b: &x 1\na: {c: 1, c: .inf}\nb: *x\n1: !y z\n") == [
        "1:4 /b anchors are not allowed: write the value out where it is wanted",
        "2:11 /a the key 'c' stands on line 2 before",
        "2:14 /a/c numbers are finite and lie within ±(2^53 − 1): write this one as text, in quotes",
        "3:1  the key 'b' stands on line 1 before",
        "3:4 /b aliases are not allowed: write the value out",
        "4:1  a key is text: write it as '1', in quotes",
        "4:4 /1 tags are not allowed: leave out what begins with !",
    ]


def test_no_more_than_fifty_are_told() -> None:
    assert len(faults("- &a 1\n" * 200)) == MAX_FAULTS


def laughs() -> bytes:
    return b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d, " % (n - 1) * 9) for n in range(1, 30))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "10 MB": lambda: b"a" * 10_000_000,
    "a byte too many": lambda: b"a" * (MAX_BYTES + 1),
    "laughs": laughs,
    "quadratic aliases": lambda: b"a: &a " + b"x" * 1_000 + b"\nb: [" + b"*a, " * 50_000 + b"]\n",
    "anchors": lambda: b"a: &x b\n" * 20_000,
    "a million digits": lambda: b"a: " + b"9" * 1_000_000,
    "many digits": lambda: b"a: " + b"9" * 260_000,
    "many digits behind a point": lambda: b"a: 1." + b"9" * 260_000,
    "many digits of an exponent": lambda: b"a: 1e" + b"9" * 260_000,
    "hexadecimal digits": lambda: b"a: 0x" + b"f" * 260_000,
    "a number as key": lambda: b"9" * 1_000 + b": a",
    "open lists": lambda: b"[" * 260_000,
    "open mappings": lambda: b"{" * 260_000,
    "open lists and mappings": lambda: b"[{" * 130_000,
    "open lists on lines of their own": lambda: b"[\n" * 130_000,
    "keys in keys": lambda: b"{a: " * 65_000,
    "complex keys": lambda: b"? " * 130_000,
    "lists in lists": lambda: b"- " * 130_000,
    "indented lists": lambda: "".join(f"{' ' * depth}-\n" for depth in range(700)).encode(),
    "a list": lambda: b"- a\n" * 65_000,
    "a list of nothing": lambda: b"-\n" * 130_000,
    "a list on one line": lambda: b"[a" + b",a" * 130_000 + b"]",
    "a mapping": lambda: "".join(f"k{n}: v\n" for n in range(25_000)).encode(),
    "one key again and again": lambda: b"k: v\n" * 50_000,
    "open text": lambda: b"a: '" + b"x" * 260_000,
    "escapes": lambda: b'a: "' + b"\\x41" * 65_000 + b'"\n---\n',
    "colons": lambda: b"a" + b":" * 260_000,
    "spaces": lambda: b" " * 260_000 + b"a: [",
    "lines": lambda: b"\n" * 260_000 + b"a: [",
    "comments": lambda: b"#\n" * 130_000 + b"a: [",
    "tags": lambda: b"!" * 260_000,
    "long tags": lambda: b"a: !" + b"x" * 200_000 + b" b",
    "documents": lambda: b"---\n" * 65_000,
    "directives": lambda: b"%YAML 1.2\n" * 26_000,
    "tag directives": lambda: b"".join(b"%%TAG !a%d! tag:a,1:\n" % n for n in range(9_000)) + b"---\na: 1\n",
    "no": lambda: b"workflow: no\nnodes: no\npolicy: no\n",
    "nothing but bytes": lambda: bytes(range(256)) * 1_000,
    "a fault at the end": lambda: b"- a\n" * 4_900 + b"- !x a\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_no_time_and_little_memory(name: str) -> None:
    source = HOSTILE[name]()
    spent = []
    for _ in range(3):
        begin = time.process_time()
        with pytest.raises(DefinitionInvalid):
            read(source)
        spent.append(time.process_time() - begin)
    tracemalloc.start()
    try:
        with pytest.raises(DefinitionInvalid):
            read(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEBIBYTES * 2**20
    assert min(spent) < MILLISECONDS / 1_000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_json_is_read_as_what_it_says_or_refused(value: object) -> None:
    """JSON is YAML 1.2; what the canonical form refuses, a file refuses too."""
    try:
        data = parse(json.dumps(value).encode()).data
    except DefinitionInvalid:
        text = json.dumps(value)
        assert any(sign in text for sign in ("\\u0000", "\\ud", "\\u007f", "e", "E", "."))
    else:
        check(data)
        assert data == value


@pytest.mark.parametrize("text", ["{*0", "*a : b", "a: {*b : c}", "? *a\n: b"])
def test_an_alias_in_the_place_of_a_key_is_a_fault_too(text: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        parse(text.encode())
    assert refused.value.faults[-1].message == "aliases are not allowed: write the key out"


@settings(max_examples=200, deadline=None)
@given(st.text("ab01:-[]{}\"'\\&*!%#|> \n\t?,.~<", max_size=60))
def test_whatever_is_read_is_plain_data_as_a_strict_reader_sees_it(text: str) -> None:
    try:
        document = parse(text.encode())
    except DefinitionInvalid as error:
        document, invalid = None, error
    if document is None:
        assert 1 <= len(invalid.faults) <= MAX_FAULTS
        assert list(invalid.faults) == sorted(invalid.faults)
        return
    check(document.data)
    node = yaml.compose(text, Loader=yaml.CBaseLoader)
    assert document.values[()] == (node.start_mark.line + 1, node.start_mark.column + 1)
