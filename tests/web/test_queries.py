"""What a query finds and what it is refused for: a table that holds on each database, since they differ in nothing."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.project import CAST, Project
from tests.web.test_approvals import code

REFUSED = (400, "invalid_parameter")
# Name of an approval -> what is searched in it.
ASKED: dict[str, dict[str, Any]] = {
    "payments.wire": {"summary": "Rent for May", "context": {"to": "Straße 1"}},
    "Payments.WIRE_2": {"context": {"to": "STRASSE 2", "note": ["100%", "under_score"]}},
    "payments/x-1": {"context": {"note": "back\\slash and 100x"}},
    "a_b": {"context": {"note": "ﬁle"}},
    "axb": {"context": {"note": "file"}},
    "a-b": {"context": {"note": 'it\'s "quoted" [a-z] *?'}},
    "mail.a": {"context": {"note": "İstanbul"}},
    "mail.b": {"context": {"note": "istanbul"}},
    "mail.c": {"context": {"note": "caf\u00e9"}},
    "mail.d": {"context": {"note": "cafe\u0301"}},
    "mail.e": {"context": {"note": "ΣΊΣΥΦΟΣ"}},
    "mail.f": {"context": {"note": "\u212a and \u2126"}},
    "mail.g": {"context": {"note": "😀\u202e"}},
    "mail.h": {"context": {"deep": [{"x": [True, None, 12.5, 9007199254740991]}]}},
}
MAIL = [f"mail.{letter}" for letter in "abcdefgh"]
# Parameter, value -> the names that are found.
FOUND: list[tuple[str, str, list[str]]] = [
    ("name", "payments.wire", ["payments.wire"]),
    ("name", "PAYMENTS.wire*", ["payments.wire", "Payments.WIRE_2"]),
    ("name", "payments*", ["payments.wire", "Payments.WIRE_2", "payments/x-1"]),
    ("name", "*WIRE_2", ["Payments.WIRE_2"]),
    ("name", "a_b", ["a_b"]),
    ("name", "a?b", ["a_b", "axb", "a-b"]),
    ("name", "a%b", []),
    ("name", "a%", []),
    ("name", "a\\_b", []),
    ("name", "[a-z]*", []),
    ("name", "*", list(ASKED)),
    ("name", "**", list(ASKED)),
    ("name", "?", []),
    ("name", "", []),
    ("name", " payments.wire", []),
    ("name", "mail.?", MAIL),
    ("name", "\u212a*", []),
    ("name", "payments.wıre", []),
    ("name", "ａ?b", []),
    ("q", "rent FOR", ["payments.wire"]),
    ("q", "straSSe", ["payments.wire", "Payments.WIRE_2"]),
    ("q", "STRAẞE", ["payments.wire", "Payments.WIRE_2"]),
    ("q", "100%", ["Payments.WIRE_2"]),
    ("q", "100_", []),
    ("q", "100", ["Payments.WIRE_2", "payments/x-1"]),
    ("q", "under_score", ["Payments.WIRE_2"]),
    ("q", "under-score", []),
    ("q", "\\", ["payments/x-1"]),
    ("q", "back\\S", ["payments/x-1"]),
    ("q", "%", ["Payments.WIRE_2"]),
    ("q", "_", ["Payments.WIRE_2", "a_b"]),
    ("q", "FILE", ["a_b", "axb"]),
    ("q", "ﬁ", ["a_b", "axb"]),
    ("q", "'", ["a-b"]),
    ("q", '"Quoted"', ["a-b"]),
    ("q", "[A-Z]", ["a-b"]),
    ("q", "*?", ["a-b"]),
    ("q", "i\u0307STANBUL", ["mail.a"]),
    ("q", "İSTANBUL", ["mail.a"]),
    ("q", "ISTANBUL", ["mail.b"]),
    ("q", "CAF\u00c9", ["mail.c"]),
    ("q", "cafe\u0301", ["mail.d"]),
    ("q", "σίσυφος", ["mail.e"]),
    ("q", "ΣΊΣΥΦΟΣ", ["mail.e"]),
    ("q", "k and ω", ["mail.f"]),
    ("q", "😀", ["mail.g"]),
    ("q", "\u202e", ["mail.g"]),
    ("q", "9007199254740991", ["mail.h"]),
    ("q", "12.5", ["mail.h"]),
    ("q", "mail", MAIL),
    ("q", "nothing of it", []),
    ("q", "' OR 1=1 --", []),
    ("q", "", list(ASKED)),
    ("q", "\ufffd", []),
    ("requested_by", "app", list(ASKED)),
    ("requested_by", "APP", list(ASKED)),
    ("requested_by", "ap", []),
    ("requested_by", "a_p", []),
    ("requested_by", "%", []),
    ("requested_by", "ａpp", []),
    ("requested_by", "", []),
    ("execution_id", "x", []),
    ("execution_id", "", []),
    ("status", "pending", list(ASKED)),
    ("status", "approved", []),
    ("limit", "2", ["mail.g", "mail.h"]),
    ("limit", "02", ["mail.g", "mail.h"]),
    ("limit", "200", list(ASKED)),
    ("cursor", "0", []),
    ("cursor", "9" * 16, list(ASKED)),
]
# As they stand in the query, each refused by every list that knows the parameter.
BAD = [
    *(
        f"limit={value}"
        for value in ("", "0", "201", "-1", "+", "x", "1.5", "1e1", "0x1", "nan", "9" * 400, "%EF%BC%91")
    ),
    *(f"cursor={value}" for value in ("", "x", "-1", "1.5", "+1", "%201", "9" * 17, "%EF%BC%91", "%D9%A1", "%00")),
    *(f"{name}=%00" for name in ("name", "q", "requested_by", "execution_id", "status", "limit")),
    *(f"{name}=a%00b" for name in ("name", "q", "requested_by", "execution_id")),
    *(f"status={value}" for value in ("", "Pending", "pending%20", "open", "pending,approved", "%EF%BD%90ending")),
    f"q={'x' * 201}",
    f"name={'x' * 129}",
    "nothing=1",
    "Status=pending",
    "=1",
    "limit=1&limit=1",
    "status=pending&status=approved",
    "q[]=x",
]
BAD_EVENTS = [
    *(f"after={value}" for value in ("", "-1", "x", "1.5", "1e3", "9007199254740992", "9" * 400, "%00", "%D9%A1")),
    *(f"limit={value}" for value in ("0", "201", "x")),
    "type=%00",
    "subject=a%00b",
    f"type={'x' * 129}",
    "nothing=1",
    "after=1&after=1",
]
TYPES: list[tuple[str, int]] = [
    ("approval.requested", len(ASKED)),
    ("APPROVAL.requested", len(ASKED)),
    ("approval.?equested", len(ASKED)),
    ("approval*", len(ASKED)),
    ("approval_requested", 0),
    ("approval.%", 0),
    ("approval.request\\ed", 0),
    ("[a]*", 0),
    ("", 0),
    ("*d", len(ASKED) + 2 * len(CAST)),
    ("\u017f*", 0),
]
IDS = [
    "apr_" + "0" * 26,
    "apr_" + "0" * 25,
    "apr_" + "0" * 5_000,
    "x",
    "-",
    "%20",
    "%00",
    "apr_%00",
    "%2500",
    "%ff",
    "%c3%28",
    "%ed%a0%80",
    "%",
    "%zz",
    "apr_%F0%9F%98%80",
    "%27%20OR%201=1--",
    "%25",
    "_",
    "%2e%2e",
    "a%2fb",
    "prn_1",
]


@pytest.fixture
def searched(project: Project) -> Project:
    for name, body in ASKED.items():
        project.ask(name=name, **body)
    return project


def listed(project: Project, query: str) -> list[str]:
    reply = project.call("alice", "GET", f"/v1/approvals?{query}")
    assert reply.status_code == 200, (query, reply.text)
    return [approval["name"] for approval in reversed(reply.json()["data"])]


def test_what_is_found(searched: Project) -> None:
    for parameter, value, names in FOUND:
        assert listed(searched, f"{parameter}={quote(value, safe='')}") == names, (parameter, value)


def test_bytes_that_are_no_text_are_read_as_something_else(searched: Project) -> None:
    """They find what U+FFFD would find, and break nothing."""
    for raw in ("%ff", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%c0%af"):
        for parameter in ("name", "q", "requested_by", "execution_id"):
            assert listed(searched, f"{parameter}={raw}") == []
    for broken in ("%", "%z", "%0"):
        assert listed(searched, f"execution_id={broken}") == []


def test_what_is_refused(searched: Project) -> None:
    for query in BAD:
        assert code(searched.call("alice", "GET", f"/v1/approvals?{query}")) == REFUSED, query
    for path in ("/v1/principals", "/v1/keys"):
        for query in BAD:
            if query.startswith(("limit", "cursor", "nothing")):
                assert code(searched.call("admin", "GET", f"{path}?{query}")) == REFUSED, (path, query)


def test_pages_hang_together(searched: Project) -> None:
    seen, cursor = [], ""
    while True:
        page = searched.call("alice", "GET", f"/v1/approvals?limit=3{cursor}").json()
        seen += [approval["name"] for approval in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == list(reversed(ASKED))


def test_events(searched: Project) -> None:
    for query in BAD_EVENTS:
        assert code(searched.call("auditor", "GET", f"/v1/events?{query}")) == REFUSED, query
    for glob, count in TYPES:
        reply = searched.call("auditor", "GET", f"/v1/events?limit=200&type={quote(glob)}")
        assert len(reply.json()["data"]) == count, glob
    for subject in ("apr_x", "%", "*", "é", "x" * 5_000):
        assert searched.call("auditor", "GET", f"/v1/events?subject={quote(subject)}").json()["data"] == []
    last = searched.call("auditor", "GET", f"/v1/events?after={2**53 - 1}").json()
    assert (last["data"], last["next_after"]) == ([], 2**53 - 1)


@pytest.mark.parametrize("approval", IDS)
def test_ids_that_are_none(project: Project, approval: str) -> None:
    calls = [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/decision")]
    bodies: dict[str, Any] = {"/cancel": {}, "/decision": {"decision": "approved"}}
    for method, verb in calls:
        who = "app" if verb == "/cancel" else "alice"
        reply = project.call(who, method, f"/v1/approvals/{approval}{verb}", json=bodies.get(verb))
        assert code(reply) == (404, "not_found"), (method, verb)
    assert code(project.call("admin", "DELETE", f"/v1/keys/{approval}")) == (404, "not_found")
