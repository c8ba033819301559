"""Gates passed at a server whose storage fails: what it acknowledged is noted here, and must be found afterwards."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.support.plain import Answer, Plain
from tests.support.server import RunningServer


@dataclass
class Seen:
    """`acknowledged` holds (approval, type of event); `wrong` tells every answer that nobody should get."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Gates:
    """One caller, over one connection. Each step is tried until it is acknowledged, `patience` times at the most."""

    def __init__(self, server: RunningServer, name: str, seen: Seen, *, patience: int = 50) -> None:
        self._server = server
        self._client = Plain(server.url)
        self._name = name
        self._seen = seen
        self._patience = patience
        self._numbers = count()

    def close(self) -> None:
        self._client.close()

    def ask(self, size: int = 100) -> Answer | None:
        number = next(self._numbers)
        body = {"name": "payments.wire", "context": {"job": f"{self._name}-{number}", "pad": "x" * size}}
        key = {"Idempotency-Key": f"{self._name}-{number}"}
        return self._until_done("approval.requested", self._server.app_key, "", body, **key)

    def look(self) -> None:
        """Read what there is."""
        for path in ("/v1/approvals?limit=20", "/v1/events?limit=20"):
            answer = self._client.call("GET", path, self._server.reviewer_key)
            if answer.status != 200:
                self._note(f"reading {path}", answer)

    def go_through(self, size: int = 100) -> bool:
        """Ask, have it approved, redeem and report; False where a step was never acknowledged."""
        asked = self.ask(size)
        if asked is None:
            return False
        path, binding = f"/{asked.body['id']}", asked.body["binding"]
        app, reviewer = self._server.app_key, self._server.reviewer_key
        steps: list[tuple[str, str, str, dict[str, Any], dict[str, str]]] = [
            ("approval.approved", reviewer, "decision", {"decision": "approved"}, {"Idempotency-Key": "d"}),
            ("approval.redeemed", app, "redeem", {"binding": binding, "redeemer": "r"}, {}),
            ("approval.outcome_reported", app, "outcome", {"fence": 1, "outcome": "succeeded"}, {}),
        ]
        return all(
            self._until_done(kind, key, f"{path}/{verb}", body, **headers) for kind, key, verb, body, headers in steps
        )

    def _until_done(self, kind: str, key: str, path: str, body: Any, **headers: str) -> Answer | None:
        for _ in range(self._patience):
            answer = self._client.call("POST", f"/v1/approvals{path}", key, body, **headers)
            if answer.status in (200, 201):
                approval = answer.body.get("approval", answer.body)["id"]
                self._seen.acknowledged.append((approval, kind))
                return answer
            if not self._note(kind, answer):
                return None
        return None

    def _note(self, what: str, answer: Answer) -> bool:
        if not _is_honest(answer):
            self._seen.wrong.append(f"{what}: {answer}")
            return False
        self._seen.refused[answer.body["code"]] += 1
        return True


def _is_honest(answer: Answer) -> bool:
    """Whether it says that nothing is known to be stored, and when to ask again."""
    told = (answer.status, (answer.body or {}).get("code"))
    return told in ((503, "unavailable"), (507, "storage_full")) and answer.headers.get("retry-after", "").isdigit()


def unkept(server: RunningServer, seen: Seen) -> list[str]:
    """What was acknowledged and is not there exactly once, and what is there twice."""
    with closing(Plain(server.url)) as client:
        events = list(_events(client, server.reviewer_key))
    found = Counter((event["subject"], event["type"]) for event in events)
    keys = Counter(event["data"]["idempotency"]["key"] for event in events if event["type"] == "approval.requested")
    lost = [
        f"{kind} of {approval} is there {found[approval, kind]} times"
        for approval, kind in seen.acknowledged
        if found[approval, kind] != 1
    ]
    doubled = [f"{times} approvals for {key}" for key, times in keys.items() if times > 1]
    doubled += [f"{kind} of {approval} {times} times" for (approval, kind), times in found.items() if times > 1]
    return lost + doubled


def _events(client: Plain, key: str) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        page = client.call("GET", f"/v1/events?after={after}&limit=200", key)
        assert page.status == 200, page
        if not page.body["data"]:
            return
        yield from page.body["data"]
        after = page.body["next_after"]
