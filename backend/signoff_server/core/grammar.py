"""What a workflow file may hold: one table, from which its faults are told and the JSON Schema for editors is made."""

from collections.abc import Iterator
from typing import Any, Final

from signoff_server.core import inputs
from signoff_server.core.policies import EFFECTS, MAX_PATTERN, MAX_RULES, SECTIONS, Complaint, Path, check_policy
from signoff_server.core.shapes import Choice, Data, Duration, Field, Fields, Items, Named, Schema, Tagged, Text, Whole

WORKFLOW_ID: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
NODE_ID: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
TOOL: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*"
SIGNAL: Final = r"[A-Za-z_][A-Za-z0-9_.-]{0,63}"
REVIEWER: Final = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
_NUMBER: Final = r"(0|[1-9][0-9]{0,8})"
_PRE: Final = r"(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
VERSION: Final = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?"


class _PolicyKind:
    """Judged by `policies`, which knows what a pattern is."""

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        for told in check_policy(data)[1]:
            yield Complaint((*path, *told.path), told.message, told.key)

    def schema(self) -> Schema:
        pattern = {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN, "pattern": "^[A-Za-z0-9_./*?-]+$"}
        object_ = {
            "type": "object",
            "properties": {"match": pattern},
            "required": ["match"],
            "additionalProperties": False,
        }
        rules = {"type": "array", "maxItems": MAX_RULES, "items": {"anyOf": [pattern, object_]}}
        about = {
            "blocked_tools": "what never runs",
            "require_approval_for": "what runs once a person has approved it",
            "allow": "what runs without being asked for, where `default` says otherwise",
        }
        properties = {section: {"description": about[section], **rules} for section in SECTIONS}
        default = {"description": "what no rule names; `allow` where it is not given", "enum": list(EFFECTS)}
        return {"type": "object", "properties": {**properties, "default": default}, "additionalProperties": False}


class _SchemaKind:
    """Judged by `inputs`."""

    def faults(self, data: Any, path: Path) -> Iterator[Complaint]:
        yield from inputs.check_schema(data, path)

    def schema(self) -> Schema:
        return {"type": "object", "$ref": inputs.DIALECT}


# ---------------------------------------------------------------- the table

_NODE: Final = Text("the name of a node, or end", NODE_ID, 64)
_EXPRESSION: Final = Text("an expression")
POLICY: Final = _PolicyKind()
_NEXT: Final = Field(_NODE, "the node that comes next; `end` ends the run", required=True)
_TYPE: Final = Field(Text("the type of the node"), "what the node does", required=True)
_RETRY: Final = Fields(
    "retry",
    {
        "max_attempts": Field(Whole(1, 100), "how often it is tried in all"),
        "backoff": Field(Choice(("exponential", "linear", "fixed")), "how the pauses grow"),
        "base_delay": Field(Duration(), "the first pause"),
        "max_delay": Field(Duration(), "the longest pause"),
    },
)
NODES: Final[dict[str, dict[str, Field]]] = {
    "tool": {
        "tool_ref": Field(
            Text("the name of a tool, written out, like payments.submit", TOOL, 128), "the tool to call", required=True
        ),
        "input": Field(Data(), "what the tool is called with; texts may hold ${{ … }}"),
        "retry": Field(_RETRY, "what happens after a reported failure"),
        "timeout": Field(Duration(), "how long one attempt may take"),
        "next": _NEXT,
        "policy": Field(POLICY, "rules for this node, beside those of the workflow"),
    },
    "human_approval": {
        "description": Field(Text("what the reviewer is asked"), "what the reviewer is asked; may hold ${{ … }}"),
        "context": Field(Data(), "what the reviewer is shown; texts may hold ${{ … }}"),
        "reviewers": Field(Items(Text("the name of a principal", REVIEWER), 1, 50, distinct=True), "who may decide"),
        "timeout": Field(Duration(), "how long it waits for a decision"),
        "on_approved": Field(_NODE, "where an approval leads", required=True),
        "on_rejected": Field(_NODE, "where a rejection leads; without it the run fails"),
        "on_timeout": Field(_NODE, "where it leads when nobody decides in time; without it the run fails"),
    },
    "condition": {
        "branches": Field(
            Items(
                Fields(
                    "a branch",
                    {"when": Field(_EXPRESSION, "an expression that is true or false", required=True), "next": _NEXT},
                ),
                least=1,
            ),
            "the first whose `when` is true is taken",
            required=True,
        ),
        "default": Field(_NODE, "where it leads when no branch is true; without it the run fails"),
    },
    "parallel": {
        "branches": Field(Items(_NODE, 1, 50, distinct=True), "the first node of each branch", required=True),
        "next": Field(_NODE, "the node that comes when all branches have ended", required=True),
    },
    "wait": {
        "for": Field(Duration(), "how long it waits"),
        "event": Field(Text("the name of a signal", SIGNAL, 64), "the signal that it waits for"),
        "timeout": Field(Duration(), "how long it waits for the signal"),
        "on_timeout": Field(_NODE, "where it leads when no signal comes in time; without it the run fails"),
        "next": _NEXT,
    },
    "end": {},
}
_WORKFLOW: Final = Fields(
    "workflow",
    {
        "id": Field(
            Text("an id of a-z, 0-9, _ and -, at most 64", WORKFLOW_ID, 64), "the id of the workflow", required=True
        ),
        "version": Field(
            Text("a semantic version, like 1.0.0, without a part behind +", VERSION, 64),
            "its semantic version",
            required=True,
        ),
        "start": Field(_NODE, "the node that it begins with", required=True),
        "description": Field(Text("what it is for"), "what it is for"),
        "input_schema": Field(_SchemaKind(), "a JSON Schema that the input of a run must keep"),
        "limits": Field(
            Fields(
                "limits",
                {
                    "max_steps": Field(Whole(1, 100_000), "how many nodes a run visits at most; 1000"),
                    "max_lost_leases": Field(Whole(0, 100), "how often a worker may be lost at one node; 5"),
                },
            ),
            "bounds of a run",
        ),
    },
)
_TAGGED: Final = Tagged(
    "a node", {name: Fields(f"a node of type {name}", {"type": _TYPE, **fields}) for name, fields in NODES.items()}
)
_IDS: Final = Text("a node id of letters, digits, _ and -, at most 64, not beginning with a digit", NODE_ID, 64)
FILE: Final = Fields(
    "a workflow file",
    {
        "workflow": Field(_WORKFLOW, "what the workflow is", required=True),
        "nodes": Field(Named("a mapping from node ids to nodes", _IDS, _TAGGED), "its nodes", required=True),
        "policy": Field(POLICY, "which of its tools are blocked, and which are asked for"),
    },
)


def schema() -> dict[str, Any]:
    """The JSON Schema of a workflow file (draft 2020-12), for editors."""
    made = FILE.schema()
    nodes = made["properties"]["nodes"]
    kinds = {node["title"]: node for node in nodes["additionalProperties"]["oneOf"]}
    for name, node in kinds.items():
        node["properties"]["type"] = {"description": _TYPE.about, "const": name}
    kinds["wait"] |= {
        "oneOf": [{"required": ["for"]}, {"required": ["event"]}],
        "dependentRequired": {"timeout": ["event"], "on_timeout": ["timeout"]},
    }
    nodes["properties"] = {"end": kinds["end"]}
    return {"$schema": inputs.DIALECT, "title": "signoff workflow", "description": _ABOUT, **made}


_ABOUT: Final = "A workflow whose tools wait for a person where its policy says so."
