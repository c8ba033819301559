"""A workflow file -> its definitions, or every fault in it at once, each with its line and column.

Rules of the room: what `read` answers is whole and consistent, so that nobody who runs it has to check it again. The
shape of a file is the table in `grammar`; what its parts say together is checked here. Reading a file runs nothing and
fetches nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from signoff_server.core import inputs
from signoff_server.core.expressions import check_in, texts
from signoff_server.core.files import MAX_FAULTS, DefinitionInvalid, Document, Fault, parse
from signoff_server.core.grammar import FILE, POLICY, schema
from signoff_server.core.graph import (
    MAX_LOST_LEASES,
    MAX_STEPS,
    Branch,
    Condition,
    Definition,
    HumanApproval,
    Node,
    Parallel,
    Retry,
    Tool,
    Wait,
)
from signoff_server.core.policies import MAX_NAME, NO_POLICY, Complaint, Path, Policy, check_policy
from signoff_server.core.readings import NO_SHAPE, Shape, check
from signoff_server.core.routes import END, LINKS, Nodes, Region, ends, regions, unknown
from signoff_server.core.shapes import milliseconds

MAX_EXPRESSIONS: Final = 64 * 1024
_TOO_LONG: Final = "the texts with expressions have together, with 500 for each call of matches,"
# How many characters a pattern counts for: each is tried when it is read.
_PATTERN: Final = 500
# Where texts may hold expressions.
_FILLED: Final = ("input", "context", "description")
# More faults than are told, so that those which are come from the beginning of the file.
_ENOUGH: Final = 4 * MAX_FAULTS

__all__ = ["DefinitionInvalid", "Fault", "check_input", "read", "read_policy", "schema"]


def read(source: bytes) -> list[Definition]:
    """The workflows of a file. Raises `DefinitionInvalid` with every fault of it."""
    document = parse(source)
    data = document.data
    found: dict[str, Region | None] = {}
    complaints = list(islice(FILE.faults(data, ()), _ENOUGH))
    sound = not any(told.path[:2] == ("workflow", "input_schema") for told in complaints)
    complaints += islice(_together(data, sound), _ENOUGH - len(complaints))
    if len(complaints) < _ENOUGH and all(_leads(told.path) for told in complaints):
        found, others = regions(data["nodes"], data["workflow"]["start"])
        complaints += others
    _refuse(document, complaints)
    return [_definition(data, found)]


def read_policy(source: bytes) -> Policy:
    """The policy of a file that holds nothing else, at its top or below `policy`. Raises `DefinitionInvalid`."""
    document = parse(source)
    data, path = document.data, Path()
    if isinstance(data, dict) and set(data) == {"policy"}:
        data, path = data["policy"], ("policy",)
    _refuse(document, POLICY.faults(data, path))
    return check_policy(data)[0]


def check_input(definition: Definition, value: Any) -> list[tuple[str, str]]:
    """What the input schema of a workflow has against an input, as JSON pointer and message."""
    return inputs.check_input(definition.input_schema, value)


def _refuse(document: Document, complaints: Iterable[Complaint]) -> None:
    faults = [document.fault(told.path, told.message, key=told.key) for told in complaints]
    if faults:
        raise DefinitionInvalid(faults)


def _leads(path: Path) -> bool:
    """Whether a fault at `path` leaves it clear which node leads where."""
    match path:
        case ("nodes", _, key, *_):
            return key not in LINKS
        case ("workflow", key, *_):
            return key != "start"
        case ("policy", *_):
            return True
    return False


# ---------------------------------------------------------------- what several parts of a file say together


def _together(data: Any, sound: bool) -> Iterator[Complaint]:
    """Told of a file in any state, so that one fault does not hide another; `sound` is its input schema."""
    nodes = data.get("nodes") if isinstance(data, dict) else None
    workflow = data.get("workflow") if isinstance(data, dict) else None
    workflow = workflow if isinstance(workflow, dict) else {}
    if not isinstance(nodes, dict):
        return
    shape = inputs.shape_of(workflow.get("input_schema")) if sound else NO_SHAPE
    whole = {name: node for name, node in nodes.items() if isinstance(node, dict)}
    readable = [name for name, node in whole.items() if node.get("type") not in (END, "condition")]
    if len(whole) == len(nodes):
        yield from unknown(nodes, workflow.get("start"))
    if sum(_length(node) for node in whole.values()) > MAX_EXPRESSIONS:
        yield Complaint(("nodes",), f"{_TOO_LONG} at most {MAX_EXPRESSIONS} characters")
        return
    for name, node in whole.items():
        yield from _of_node(name, node, ("nodes", name), workflow.get("id"))
        yield from _expressions(node, ("nodes", name), readable, shape)


def _of_node(name: str, node: Mapping[str, Any], path: Path, workflow: Any) -> Iterator[Complaint]:
    if name == END and node.get("type") != END:
        yield Complaint(path, "a node called end is of type end", key=True)
    match node.get("type"):
        case "human_approval" if isinstance(workflow, str) and len(workflow) + 1 + len(name) > MAX_NAME:
            told = f"the approval would be called {workflow}.{name}, which has more than {MAX_NAME} characters"
            yield Complaint(path, told, key=True)
        case "wait":
            yield from _of_wait(node, path)
        case "tool" if isinstance(retry := node.get("retry"), dict):
            base, most = (milliseconds(retry.get(key, default)) for key, default in _DELAYS.items())
            if base and most and base > most:
                yield Complaint((*path, "retry"), f"base_delay is longer than max_delay, which is {most // 1000}s")


def _of_wait(node: Mapping[str, Any], path: Path) -> Iterator[Complaint]:
    if ("for" in node) == ("event" in node):
        yield Complaint(path, "a node of type wait has either for, a duration, or event, the name of a signal")
    for key, wanted in (("timeout", "event"), ("on_timeout", "timeout")):
        if key in node and wanted not in node:
            yield Complaint((*path, key), f"{key} goes with {wanted}, which is missing", key=True)


def _expressions(node: Mapping[str, Any], path: Path, readable: list[str], shape: Shape) -> Iterator[Complaint]:
    for key in _FILLED:
        for place, told in check_in(node.get(key), readable, shape):
            yield Complaint((*path, key, *place), told)
    for at, when in _conditions(node):
        for told in check(when, readable, "condition", shape):
            yield Complaint((*path, "branches", at, "when"), told)


def _conditions(node: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    branches = node.get("branches")
    for at, branch in enumerate(branches if isinstance(branches, list) else ()):
        if isinstance(branch, dict) and isinstance(when := branch.get("when"), str) and when:
            yield at, when


def _length(node: Mapping[str, Any]) -> int:
    """Of all that is to be read as expressions."""
    read = [text for key in _FILLED for _, text in texts(node.get(key))] + [when for _, when in _conditions(node)]
    return sum(len(text) + _PATTERN * text.count("matches") for text in read)


# ---------------------------------------------------------------- the graph

_DEFAULT: Final = Retry()
_DELAYS: Final = {"base_delay": f"{_DEFAULT.base_delay}ms", "max_delay": f"{_DEFAULT.max_delay}ms"}


def _definition(data: Mapping[str, Any], found: Mapping[str, Region | None]) -> Definition:
    workflow, nodes = data["workflow"], data["nodes"]
    limits = workflow.get("limits", {})
    kept = [name for name in nodes if not ends(nodes, name)]
    return Definition(
        id=workflow["id"],
        version=workflow["version"],
        start=_target(nodes, workflow["start"]),
        nodes={name: _node(nodes, name, found[name]) for name in kept},
        description=workflow.get("description"),
        input_schema=workflow.get("input_schema"),
        policy=_policy(data),
        max_steps=limits.get("max_steps", MAX_STEPS),
        max_lost_leases=limits.get("max_lost_leases", MAX_LOST_LEASES),
    )


def _target(nodes: Nodes, name: str | None) -> str | None:
    return None if name is None or ends(nodes, name) else name


def _policy(data: Mapping[str, Any]) -> Policy:
    return check_policy(data["policy"])[0] if "policy" in data else NO_POLICY


def _node(nodes: Nodes, name: str, region: Region | None) -> Node:
    node = nodes[name]
    to = {key: _target(nodes, node.get(key)) for key in ("next", "on_approved", "on_rejected", "on_timeout", "default")}
    within = region.parallel if region else None
    timeout = milliseconds(node.get("timeout"))
    match node["type"]:
        case "tool":
            retry, policy = _retry(node.get("retry", {})), _policy(node)
            return Tool(name, node["tool_ref"], node.get("input", {}), retry, timeout, to["next"], policy, within)
        case "human_approval":
            return _approval(name, node, to, timeout, within)
        case "condition":
            branches = tuple(Branch(each["when"], _target(nodes, each["next"])) for each in node["branches"])
            return Condition(name, branches, to["default"], "default" in node, within)
        case "parallel":
            return Parallel(name, tuple(node["branches"]), to["next"], within)
    routed = "on_timeout" in node
    duration = milliseconds(node.get("for"))
    return Wait(name, duration, node.get("event"), timeout, to["on_timeout"], routed, to["next"], within)


def _approval(
    name: str, node: Mapping[str, Any], to: Mapping[str, str | None], timeout: int | None, within: str | None
) -> HumanApproval:
    words = {"on_rejected": "rejected", "on_timeout": "expired"}
    return HumanApproval(
        id=name,
        description=node.get("description"),
        context=node.get("context", {}),
        reviewers=tuple(node.get("reviewers", ())),
        timeout=timeout,
        on_approved=to["on_approved"],
        on_rejected=to["on_rejected"],
        on_timeout=to["on_timeout"],
        routed=frozenset(word for key, word in words.items() if key in node),
        within=within,
    )


def _retry(data: Mapping[str, Any]) -> Retry:
    delays = {key: milliseconds(data.get(key, default)) for key, default in _DELAYS.items()}
    return Retry(
        max_attempts=data.get("max_attempts", _DEFAULT.max_attempts),
        backoff=data.get("backoff", _DEFAULT.backoff),
        base_delay=delays["base_delay"] or _DEFAULT.base_delay,
        max_delay=delays["max_delay"] or _DEFAULT.max_delay,
    )
