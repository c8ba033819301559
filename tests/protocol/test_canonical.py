"""Strict JSON, and the rules that make two programs read it alike."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from signoff.protocol import canonical
from signoff.protocol.canonical import MAX_INTEGER, MalformedJSON, NotCanonical

MALFORMED = [
    b"",
    b"{",
    b"{'a': 1}",
    b"[1,]",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1, "a": 2}',
    b'{"x": {"a": 1, "\\u0061": 2}}',
    b'{"a": 01}',
    b'{"a": "\xff"}',
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\x01"}',
    b"{} {}",
    b"[" * 200_000,
]
NOT_CANONICAL = [
    (b'{"a": 9007199254740992}', "/a"),
    (b'{"a": -9007199254740992}', "/a"),
    (b'{"a": [1, ' + b"9" * 5_000 + b"]}", "/a/1"),
    (b'{"a": 1e999}', "/a"),
    (b'{"a": 9007199254740992.0}', "/a"),
    (b'{"a": -1e20}', "/a"),
    (b'{"a": "\\u0000"}', "/a"),
    (b'{"a\\u0000b": 1}', ""),
    (b'{"a": "\\ud800"}', "/a"),
    (b'{"\\udc00": 1}', ""),
    (b'{"a/b~": [{"c": "\\ud83d"}]}', "/a~1b~0/0/c"),
    (b"[" * 33 + b"]" * 33, "/0" * 32),
    (b'{"' + b"k" * 257 + b'": 1}', ""),
    (json.dumps({"é" * 129: 1}).encode(), ""),
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[:24]))
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedJSON):
        canonical.loads(data)


@pytest.mark.parametrize(("data", "pointer"), NOT_CANONICAL, ids=lambda value: repr(value)[:30])
def test_what_two_programs_could_read_differently_is_refused_at_its_place(data: bytes, pointer: str) -> None:
    with pytest.raises(NotCanonical) as refused:
        canonical.loads(data)
    assert refused.value.pointer == pointer


def test_the_limits_themselves_pass() -> None:
    canonical.loads(b"[" * 32 + b"]" * 32)
    canonical.loads(b'{"' + b"k" * 256 + b'": [9007199254740991, -9007199254740991, "\\ud83d\\ude00"]}')


@pytest.mark.parametrize("value", [{1: 2}, (1, 2), {"a": {1, 2}}, {"a": b"x"}, {"a": object()}, {"a": True, 3: 1}])
def test_only_plain_json_data_is_canonical(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical.canonical(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not MAX_INTEGER < abs(value) < 1e21)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_the_canonical_form_is_a_fixed_point(value: Any) -> None:
    once = canonical.canonical(value)
    assert canonical.canonical(canonical.loads(once)) == once


@given(JSON, JSON)
def test_the_binding_tells_contexts_apart(one: Any, other: Any) -> None:
    def bind(context: Any) -> str:
        return canonical.binding(project="prj_x", name="a", context=context, arguments=None, nonce="n")

    assert (bind(one) == bind(other)) == (canonical.canonical(one) == canonical.canonical(other))


def test_each_member_is_bound() -> None:
    base: dict[str, Any] = {"project": "p", "name": "n", "context": {}, "arguments": None, "nonce": "x"}
    changed = [
        {**base, key: value}
        for key, value in (("project", "q"), ("name", "m"), ("context", {"a": 1}), ("arguments", {}), ("nonce", "y"))
    ]
    assert len({canonical.binding(**one) for one in (base, *changed)}) == 6


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text() | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_the_canonical_form_is_that_of_rfc_8785_however_it_is_made(value: Any) -> None:
    try:
        made = canonical.canonical(value)
    except NotCanonical:
        return
    assert made == rfc8785.dumps(value)


def test_control_characters_quotes_and_separators_are_written_as_rfc_8785_wants() -> None:
    text = "".join(map(chr, range(1, 0x250))) + "\u2028\u2029\ufeff\ufffd\U0001f600"
    value = {"b": [text, {"z": text, "a": [True, None, -1]}], "a": text, "B": {}, "": []}
    assert canonical.canonical(value) == rfc8785.dumps(value)


@given(context=st.dictionaries(st.text(max_size=4), _JSON, max_size=3), name=st.text('aé"/', max_size=5))
def test_a_binding_is_the_digest_of_one_object(context: dict[str, Any], name: str) -> None:
    bound = {"arguments": None, "context": context, "name": name, "nonce": "n", "project": "prj_1"}
    try:
        digest = hashlib.sha256(b"signoff-binding/1\n" + canonical.canonical(bound)).hexdigest()
    except NotCanonical:
        return
    made = canonical.binding(project="prj_1", name=name, context=context, arguments=None, nonce="n")
    assert made == f"sha256:{digest}"
