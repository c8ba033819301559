"""A project in which every text that somebody else can write is one of `tests.support.hostile`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from signoff_server.dashboard.text import seen
from tests.browser.content import work
from tests.browser.site import Site
from tests.support.hostile import HOSTILE

T = TypeVar("T")
# On one page: so many values and as many keys.
_A_PAGE: Final = 50
_KEY_BYTES: Final = 256
_LONG: Final = 200
WORKFLOW: Final = """
workflow: {id: haunted, version: 1.0.0, start: first}
nodes:
  first: {type: tool, tool_ref: haunted.first, input: {said: "${{ input.said }}"}, next: second}
  second: {type: tool, tool_ref: haunted.second, input: {said: "${{ input.said }}"}, next: end}
policy: {require_approval_for: ["haunted.second"]}
"""
# Characters of HTML that a page gives to a value, less what stands around each; and more than it draws as a tree.
_DRAWN: Final = 8_000
_FILLER: Final = "x" * 1_500
# What the API takes for a text that must not be empty.
SAYABLE: Final = tuple(text for text in HOSTILE if text.strip())
KEYS: Final = tuple(text for text in HOSTILE if len(text.encode()) <= _KEY_BYTES)
SHORT: Final = tuple(text for text in SAYABLE if len(text) <= _LONG)


@dataclass(frozen=True)
class Planted:
    """An approval or a run, and the texts that its page has to show."""

    id: str
    texts: tuple[str, ...]


def pieces(things: Sequence[T], size: int = _A_PAGE) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(things), size):
        yield tuple(things[start : start + size])


def values(site: Site) -> list[Planted]:
    """Every string as a value of a context, in lists and objects, and every one as an argument."""
    planted = []
    for number, texts in enumerate(pieces(HOSTILE)):
        half = len(texts) // 2
        context = {f"k{at}": text for at, text in enumerate(texts[:half])} | {"deep": {"list": list(texts[half:])}}
        made = site.ask(name=f"haunted.value-{number}", context=context, arguments={"all": list(reversed(texts))})
        planted.append(Planted(made["id"], texts))
    return planted


def keys(site: Site) -> list[Planted]:
    """Every string that is short enough as a key."""
    planted = []
    for number, texts in enumerate(pieces(KEYS)):
        made = site.ask(name=f"haunted.key-{number}", context={text: at for at, text in enumerate(texts)})
        planted.append(Planted(made["id"], texts))
    return planted


def claims(site: Site, count: int) -> list[Planted]:
    """So many approvals of which each says another string wherever a requester can say something."""
    texts = SHORT[:: max(1, len(SHORT) // count)][:count]
    bodies: list[dict[str, Any]] = [
        {
            "name": f"haunted.claim-{at}",
            "context": {"said": text},
            "summary": text,
            "on_behalf_of": text,
            "metadata": {"said": text},
        }
        for at, text in enumerate(texts)
    ]
    made = site.ask_many(bodies)
    return [Planted(each["id"], (text,)) for each, text in zip(made, texts, strict=True)]


def reasons(site: Site, planted: Sequence[Planted]) -> None:
    """Each is rejected for the reason that it says itself."""
    for each in planted:
        site.decide(each.id, "rejected", "bob", reason=each.texts[0])


def runs(site: Site) -> list[Planted]:
    """Every string as an input and an output of a run that waits for a decision, so many that they stand as JSON."""
    site.register(WORKFLOW)
    planted = []
    for texts in _as_much_as_is_drawn(HOSTILE):
        given = [*texts, _FILLER]
        run = site.run("haunted", said=given)
        work(site, "haunted.first", output={"heard": given})
        site.settled(run)
        planted.append(Planted(run, texts))
    return planted


def _as_much_as_is_drawn(texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    gathered: list[str] = []
    room = _DRAWN
    for text in texts:
        room -= len(seen(json.dumps(text, ensure_ascii=False)))
        if room < 0:
            yield tuple(gathered)
            gathered, room = [], _DRAWN - len(seen(json.dumps(text, ensure_ascii=False)))
        gathered.append(text)
    yield tuple(gathered)


def failures(site: Site, count: int) -> list[Planted]:
    """Runs that failed, each with a message of its own."""
    site.register(WORKFLOW)
    planted = []
    for text in SHORT[:: max(1, len(SHORT) // count)][:count]:
        run = site.run("haunted", said=text)
        work(site, "haunted.first", fails=text)
        planted.append(Planted(run, (text,)))
    return planted


def described(site: Site, texts: Sequence[str]) -> str:
    """The id of a workflow that says these texts of its input, of itself and of where its nodes lead."""
    fields = {f"field_{at}": {"type": "string", "title": text, "description": text} for at, text in enumerate(texts)}
    fields["choice"] = {"enum": list(texts)}
    branches = [{"when": f"input.choice == {json.dumps(text)}", "next": "pay"} for text in texts[:10]]
    whole = {
        "workflow": {
            "id": "described",
            "version": "1.0.0",
            "start": "way",
            "description": " ".join(texts[:3]),
            "input_schema": {"type": "object", "properties": fields, "description": texts[0]},
        },
        "nodes": {
            "way": {"type": "condition", "branches": branches, "default": "pay"},
            "pay": {"type": "tool", "tool_ref": "pay", "next": "end"},
        },
    }
    # Whatever is JSON is YAML too.
    site.register(json.dumps(whole))
    return "described"
