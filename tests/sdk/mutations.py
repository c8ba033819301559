"""Replies made wrong in every way, thousands of them, and an opinion of its own on which would still be an approval."""

import hashlib
import json
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any, Final, NamedTuple

import rfc8785

from signoff.transport import Incoming
from signoff_server.core.refusals import CODES
from tests.sdk import replies

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
PORTAL: Final = b"<!doctype html><html><body>Please accept the terms to go on. approved</body></html>"
# What may stand in the place of anything.
_WRONG: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 1.5, 2**53, 10**30, "", " ", "approved", "true", "\u0430pproved", [], {},
    [None], {"approved": True},
)  # fmt: skip
_KINDS: Final = (
    "", "text/html", "text/plain", "text/json", "application/jsonp", "application/json5", "application/hal+json",
    PROBLEM, "application/x-ndjson", "application/octet-stream", "multipart/form-data", "json", "*/*",
    "application/json, text/html", "application/ json", "text/html; application/json",
)  # fmt: skip
_SWAPPED: Final = ("id", "project", "name", "context", "arguments", "nonce", "binding", "execution_key", "status")
_ENCODINGS: Final = ("utf-16", "utf-32", "utf-16-le", "utf-8-sig", "utf-7", "cp037")


class Reply(NamedTuple):
    """One way to be wrong, of a family; what comes of it is another question."""

    family: str
    incoming: Incoming


class Message(NamedTuple):
    """As a reply, on a watch socket."""

    family: str
    text: str


def mutated(good: dict[str, Any], *, status: int = 200) -> Iterator[Reply]:
    """Every mutation of a reply whose JSON is `good` and that comes with `status`."""
    for family in (_cut, _statuses, _kinds, _encoded, _wrapped, _doubled, _wrong_members, _swapped, _stale, _large):
        for incoming in family(good, status):
            yield Reply(family.__name__.strip("_"), incoming)


def messages(news: dict[str, Any]) -> Iterator[Message]:
    """Every mutation of the message of a watch socket that tells `news`."""
    whole = json.dumps({"op": "resolved", "approval": news})
    yield from (Message("cut", whole[:end]) for end in range(len(whole)))
    yield from (_resolved("wrong_members", each) for each in _with_wrong_members(news))
    yield from (_resolved("swapped", each) for each in _with_swapped(news, _other_resolved()))
    yield from (Message("doubled", f'{{"op": "resolved", "approval": {each}}}') for each in _with_doubled(news))
    for op in (*_WRONG, "Resolved", "watching", "error", "approved", "resolve", ["resolved"]):
        yield Message("op", json.dumps({"op": op, "approval": news, "count": 1, "id": news["id"], "code": "x"}))
    for code in (*CODES, "", "approved", "nothing"):
        yield Message("code", json.dumps({"op": "error", "id": news["id"], "code": code}))


def _resolved(family: str, approval: dict[str, Any]) -> Message:
    return Message(family, json.dumps({"op": "resolved", "approval": approval}))


def is_approved(body: bytes | str, known: dict[str, Any], *, whole: bool = True, redeemed: bool = False) -> bool:
    """Whether JSON approves what `known` asks, by the contract and without a line of the SDK.

    `whole` is false for the news of a watch socket, which leave out what their listener has. What is `redeemed` was so
    in time, though it may have lapsed since.
    """
    try:
        told = json.loads(body, object_pairs_hook=_once)
        told = told.get("approval", told)
        shown = told if whole else {**known, **{name: told[name] for name in told if name in known}}
        bound = {name: shown[name] for name in ("arguments", "context", "name", "nonce", "project")}
        digest = hashlib.sha256(b"signoff-binding/1\n" + rfc8785.dumps(bound)).hexdigest()
        same = all(told[name] == known[name] for name in ("id", "name", "project", "execution_key"))
        asked = shown["context"] == known["context"] and shown["arguments"] == known["arguments"]
        voted = any(vote["decision"] == "approved" for vote in told["decisions"])
        granted = told["status"] == "approved" and (redeemed or told["lapsed"] is False) and voted
        return same and asked and granted and told["binding"] == f"sha256:{digest}"
    except (ValueError, KeyError, TypeError, AttributeError, rfc8785.CanonicalizationError):
        return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


# ---------------------------------------------------------------- the families


def _json(data: Any) -> bytes:
    return json.dumps(data).encode()


def _incoming(body: bytes, status: int, kind: str = JSON, **headers: str) -> Incoming:
    return Incoming(status, {"content-type": kind, **headers}, body)


def _cut(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    """A body that ends at each of its bytes."""
    body = _json(good)
    yield from (_incoming(body[:end], status) for end in range(len(body)))


def _statuses(good: dict[str, Any], _status: int) -> Iterator[Incoming]:
    """Every status there is, with the good body, as a problem, as a page and with nothing."""
    for status in range(100, 600):
        problem = {"type": "x", "title": "x", "status": status, "detail": "x", "request_id": "x", "current": good}
        yield _incoming(_json(good), status, location="http://127.0.0.1:9/elsewhere")
        yield _incoming(_json({**problem, "code": "approved"}), status, PROBLEM)
        yield _incoming(PORTAL, status, "text/html")
        yield _incoming(b"", status)
    for code, about in CODES.items():
        problem = {"type": "x", "title": "x", "detail": "x", "request_id": "x", "code": code, "current": good}
        for status in {about.status, 200, 409, 418, 500}:
            yield _incoming(_json({**problem, "status": about.status}), status, PROBLEM)


def _kinds(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    yield from (_incoming(_json(good), status, kind) for kind in _KINDS)
    yield Incoming(status, {}, _json(good))


def _encoded(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    text = json.dumps(good)
    yield from (_incoming(text.encode(name), status) for name in _ENCODINGS)
    yield from (_incoming(text.encode().replace(b"approved", bad), status) for bad in (b"appr\xffoved", b"\xc0\xaf"))


def _wrapped(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    """The good body, and something around it."""
    body = _json(good)
    around = (
        (b"", b"x"),
        (b"", body),
        (b"", b"\n" + body),
        (b")]}',\n", b""),
        (b"f(", b")"),
        (b"[", b"]"),
        (b"\x00", b""),
    )
    yield from (_incoming(before + body + after, status) for before, after in (*around, (PORTAL, b""), (b"", PORTAL)))
    for name in ("data", "approval", "result", "current", "status"):
        yield _incoming(_json({name: good}), status)
    yield _incoming(_json(json.dumps(good)), status)
    yield from (_incoming(_json(each), status) for each in _WRONG)


def _doubled(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    yield from (_incoming(each.encode(), status) for each in _with_doubled(good))


def _wrong_members(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    yield from (_incoming(_json(each), status) for each in _with_wrong_members(good))


def _swapped(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    """Parts of a true approval of something else, in every combination."""
    if "approval" in good:
        others = _with_swapped(good["approval"], _other())
        yield from (_incoming(_json({**good, "approval": each}), status) for each in others)
    else:
        yield from (_incoming(_json(each), status) for each in _with_swapped(good, _other()))


def _stale(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    """True replies, of another time or about another approval."""
    old = [
        _other(),
        replies.approved(id=replies.OTHER_ID),
        replies.approved(id=replies.OTHER_ID, nonce="m" * 43),
        replies.approved(nonce="m" * 43, binding=replies.approved()["binding"]),
        replies.approved(context={"amount": "1.00"}),
        replies.approved(lapsed=True),
        replies.approved(decisions=[]),
        replies.approved(decisions=replies.decided("rejected", reason="no")["decisions"]),
        replies.decided("rejected", reason="no", lapsed=True),
        replies.decided("rejected", reason="no", decisions=replies.approved()["decisions"]),
        *(replies.approval(status=each) for each in ("expired", "cancelled")),
    ]
    whole = "approval" in good
    yield from (_incoming(_json({**good, "approval": each} if whole else each), status) for each in old)


def _large(good: dict[str, Any], status: int) -> Iterator[Incoming]:
    yield _incoming(b"[" * 200_000, status)
    yield _incoming(b'{"status":' * 50_000, status)
    yield _incoming(_json({**good, "extra": "x" * 3_000_000})[:-2], status)
    yield _incoming(b" " * 3_000_000, status)
    yield _incoming(b'{"a": ' + b"9" * 1_000_000 + b"}", status)
    yield from (_incoming(_json({**good, "context": _nested(depth)}), status) for depth in (31, 32, 33, 500))


# ---------------------------------------------------------------- what they are made of


def _with_doubled(good: dict[str, Any]) -> Iterator[str]:
    """A member that stands twice, in whatever object, with another value before or after."""
    text = json.dumps(good)
    for at, character in enumerate(text):
        if character == "{" and text[at + 1 : at + 2] == '"':
            name = text[at + 1 : text.index('"', at + 2) + 1]
            yield f'{text[: at + 1]}{name}: "rejected", {text[at + 1 :]}'
    for name in good:
        yield f'{{"{name}": "rejected", {text[1:]}'
        yield f'{text[:-1]}, "{name}": "approved"}}'


def _with_wrong_members(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each member of each object left out, and replaced by each wrong value."""
    for place in _places(good):
        yield _changed(good, place, leave_out=True)
        for value in _WRONG:
            yield _changed(good, place, value)
        yield _changed(good, place, [_at(good, place)])
        yield _changed(good, place, str(_at(good, place)))


def _with_swapped(good: dict[str, Any], other: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = [name for name in _SWAPPED if name in good]
    for some in chain.from_iterable(combinations(names, size) for size in range(1, len(names) + 1)):
        yield {**good, **{name: other[name] for name in some}}


def _other() -> dict[str, Any]:
    """A true approval of something else."""
    changes = {"project": "prj_01m83sz56vewzv11aspn88qrb5", "name": "payments.other", "context": {"amount": "1.00"}}
    return replies.approved(id=replies.OTHER_ID, arguments={}, nonce="m" * 43, **changes)


def _other_resolved() -> dict[str, Any]:
    other = _other()
    return {name: other[name] for name in replies.resolved()}


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inner:
        yield (*above, name)
        yield from _places(child, (*above, name))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for name in place:
        value = value[name]
    return value


def _changed(good: dict[str, Any], place: tuple[Any, ...], value: Any = None, *, leave_out: bool = False) -> Any:
    changed = json.loads(json.dumps(good))
    holder = _at(changed, place[:-1])
    if leave_out:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return changed


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value
