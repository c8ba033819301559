"""Requests that schemathesis makes from `openapi.yaml`, dressed with what is real, and the judging of their answers.

Good data must be accepted, bad data refused, and every answer be one that the document lists, of the form that it
gives. The boundary cases are the same each time; the random ones follow the seed.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from signoff.protocol.workflows import YAML
from signoff_server.web.routes import ROUTES
from tests.fuzz.runs import HOSTILE, SOURCE, TOOLS, WORKFLOW, mutated
from tests.fuzz.target import Target
from tests.support.project import CAST

DOCUMENT: Final = Path(__file__).parents[2] / "openapi.yaml"
_SOCKET: Final = "/v1/approvals/watch"
_SCOPES: Final = {f"{route.method} {route.path}": route.scopes for route in ROUTES}
BEST: Final = {
    "approvals:create": "app",
    "approvals:decide": "alice",
    "approvals:redeem": "executor",
    "workflows:write": "starter",
    "executions:write": "starter",
    "work": "worker",
    "audit:read": "auditor",
    "admin": "admin",
}
# The state that an operation is about; most of its requests get an approval in it.
_STATES: Final = {
    "decision": "pending",
    "decisions": "pending",
    "cancel": "pending",
    "redeem": "approved",
    "renew": "redeemed",
    "outcome": "redeemed",
    "resolve": "unknown",
}
# The same of a run; of the others any will do.
_STATES_OF_RUNS: Final = {"approve": "parked", "cancel": "parked", "signal": "waiting", "resolve": "unknown"}
# What a schema does not say, and a well-formed request may be refused for: where the fault lies.
_UNSAID: Final = {
    "POST /v1/approvals": ("/context", "/arguments", "/reviewers", "/metadata"),
    "POST /v1/approvals/{id}/decision": ("/reason",),
    "POST /v1/approvals/decisions": ("/decisions",),
    "POST /v1/keys": ("/principal", "/scopes"),
    "POST /v1/principals": ("/owner", "/role"),
    "POST /v1/users": ("/name",),
    "POST /v1/executions": ("/input",),
    "POST /v1/executions/{id}/approve": ("/comment",),
    "POST /v1/executions/{id}/signal": ("/payload",),
    "POST /v1/executions/{id}/nodes/{node_id}/resolve": ("/output",),
    "POST /v1/work/{id}/complete": ("/output",),
    "POST /v1/policy/judge": ("/workflow", "/node_id"),
}
_MEANT: Final = frozenset({"no_eligible_reviewer", "idempotency_key_reuse", "workflow_invalid", "ambiguous_node"})
_REFUSED_IN_GOOD_FORM: Final = frozenset({401, 403, 404, 409, 429})
_LEAKS: Final = ("Traceback", "sqlalchemy", "sqlite", "psycopg", "SELECT ", "site-packages", ".py")


class Sent(NamedTuple):
    """One request with its answer, and what was wrong with it."""

    operation: str
    mode: str
    status: int
    violation: str | None


class Luck(random.Random):
    """Chance that is always on the side of the request."""

    def random(self) -> float:
        return 0.0


class Generated:
    """The cases of one round, and how they are sent."""

    def __init__(self, target: Target, the_seed: int) -> None:
        self._target = target
        self._seed = the_seed
        self._session = requests.Session()
        self._session.trust_env = False
        self._document = schemathesis.openapi.from_path(DOCUMENT)
        # Keys are chosen here, and U+0000 has a table of its own.
        self._document.config.generation.update(with_security_parameters=False, allow_x00=False)
        self._document.config.output.sanitization.enabled = False
        found = (each.ok() for each in self._document.get_all_operations())
        self.operations = [operation for operation in found if operation.path != _SOCKET]

    def close(self) -> None:
        self._session.close()

    def boundary(self) -> Iterator[Any]:
        """Every edge of every parameter and member, one at a time."""
        for operation in self.operations:
            config = self._document.config.generation_for(operation=operation)
            yield from self._document.iter_coverage_cases(
                operation, generation_modes=list(GenerationMode), generation_config=config
            )

    def chance(self, *about: object) -> random.Random:
        """Chance that depends on the seed and on what it is for."""
        return random.Random(f"{self._seed} {about}")

    def at_random(self, number: int, about: object) -> Iterator[Any]:
        """Up to `number` for each operation, in good form and in bad."""
        for operation in self.operations:
            for mode in GenerationMode:
                start = self.chance(about, operation.label, mode).randrange(2**32)
                yield from _drawn(operation.as_strategy(generation_mode=mode), number, start)

    def surely(self) -> Iterator[Any]:
        """A case in good form for each operation, to be sent with `Luck` so that it is accepted."""
        for operation in self.operations:
            yield _drawn(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), 1, 0)[0]

    def send(self, case: Any, chance: random.Random) -> Sent:
        """Dress a case, send it and judge the answer."""
        self._dress(case, chance)
        response = case.call(base_url=self._target.url, session=self._session, timeout=30)
        try:
            case.validate_response(response, checks=_CHECKS)
            violation = None
        except FailureGroup as failures:
            violation = str(failures)
        mode = case.meta.generation.mode.value
        return Sent(case.operation.label, mode, response.status_code, violation)

    def _dress(self, case: Any, chance: random.Random) -> None:
        scopes = _SCOPES[case.operation.label]
        if scopes is not None and (key := self._key(scopes, chance)) is not None:
            case.headers["Authorization"] = key
        approval = self._approval(case, chance)
        subject = self._subject(case, approval, chance)
        if "id" in case.path_parameters and chance.random() < 0.85:
            case.path_parameters["id"] = subject["id"]
        if "node_id" in case.path_parameters and chance.random() < 0.85:
            case.path_parameters["node_id"] = subject["nodes"][-1]["node_id"]
        if case.meta.generation.mode.is_positive:
            self._be_quick(case, chance)
            if chance.random() < 0.8:
                self._tell_what_is_real(case, approval, subject, chance)

    def _key(self, scopes: tuple[str, ...], chance: random.Random) -> str | None:
        target, luck = self._target, chance.random()
        fit = [who for who, (_, _, held) in CAST.items() if set(held) & set(scopes)]
        if luck < 0.5:
            return f"Bearer {target.keys[BEST[scopes[0]]]}"
        if luck < 0.8:
            return f"Bearer {target.keys[chance.choice(fit)]}"
        if luck < 0.9:
            return f"Bearer {target.keys[chance.choice(sorted(CAST))]}"
        if luck < 0.95:
            return f"Bearer {target.strange_keys[chance.choice(fit)]}"
        return chance.choice([None, "", "Bearer", "Bearer sgo_test_x", "Basic YTpi", f"bearer {target.keys[fit[0]]}x"])

    def _approval(self, case: Any, chance: random.Random) -> dict[str, Any]:
        if "wait" in case.query:
            # What is decided answers at once; nothing here may wait for a minute.
            return self._target.some(chance, chance.choice(["rejected", "approved", "reported"]))
        state = _STATES.get(case.path.rpartition("/")[2])
        fresh = state is not None and chance.random() < 0.6
        return self._target.fresh(state) if fresh and state else self._target.some(chance)

    def _subject(self, case: Any, approval: dict[str, Any], chance: random.Random) -> dict[str, Any]:
        """What the path names, where it names something."""
        runs, fresh = self._target.runs, chance.random() < 0.6
        match case.path.split("/")[2:]:
            case ["keys", *_]:
                return {"id": self._target.spare_key()} if "id" in case.path_parameters else {}
            case ["users", *_]:
                return {"id": self._target.spare_user()} if "id" in case.path_parameters else {}
            case ["workflows", *_]:
                return {"id": WORKFLOW}
            case ["work", _, _]:
                return runs.fresh_item() if fresh else runs.some_item(chance)
            case ["executions", _, *_, last] if last in _STATES_OF_RUNS:
                return runs.fresh(_STATES_OF_RUNS[last]) if fresh else runs.some(chance)
            case ["executions", *_]:
                # What is not running answers a wait at once.
                return runs.some(chance, "parked", "completed", "failed") if "wait" in case.query else runs.some(chance)
        return approval

    def _be_quick(self, case: Any, chance: random.Random) -> None:
        """Nothing here may wait for a minute."""
        if "seen" in case.query and "wait" in case.query:
            case.query["wait"] = "0"
        if case.path == "/v1/work/lease" and isinstance(case.body, dict) and "wait" in case.body:
            case.body["wait"] = chance.choice([0, 0, 0, 1])

    def _tell_what_is_real(
        self, case: Any, approval: dict[str, Any], subject: dict[str, Any], chance: random.Random
    ) -> None:
        """Good form alone meets nothing: put in what the server knows, where the case has such a member."""
        target = self._target
        if case.media_type == YAML:
            case.body = self._file(case, chance)
        known = {
            "workflow_id": WORKFLOW,
            "version": target.runs.version,
            "input": {"take": chance.choice(["gate", "both", "wait", "ask", "plain"])},
            "tools": [{"name": name, "idempotent": chance.random() < 0.5} for name in TOOLS],
            "node_id": "pay",
            "approval_id": subject.get("approval_id"),
            "workflow": chance.choice([SOURCE, SOURCE, "nodes: {}", "workflow: ["]),
            "binding": approval["binding"],
            "seen": approval["binding"],
            "redeemer": chance.choice(["seed", "other"]),
            "fence": 1 if chance.random() < 0.7 else 2,
            "principal": target.ids[chance.choice(["app", "alice", "worker"])],
            "owner": target.ids[chance.choice(["alice", "app"])],
            "reviewers": [chance.choice(["user:alice", "user:bob", "user:app"])],
        }
        if isinstance(case.body, dict) and case.media_type != YAML:
            case.body.update({name: known[name] for name in case.body.keys() & known})
            for each in case.body.get("decisions", ())[:1]:
                each["id"] = approval["id"]
            if case.path.endswith("/signal"):
                case.body["name"] = chance.choice(["paid", "paid", "other"])
            if case.path == "/v1/users":
                case.body["name"] = chance.choice(["dana", "alice", "app"])
        real = {"workflow_id": WORKFLOW, "version": target.runs.version}
        real |= {"subject": approval["id"], "requested_by": "app", "name": "pay*", "q": "rent", "type": "approval.*"}
        case.query.update({name: real[name] for name in case.query.keys() & real.keys()})
        if "Idempotency-Key" in case.headers and chance.random() < 0.7:
            case.headers["Idempotency-Key"] = chance.choice(["k1", "k2"])

    def _file(self, case: Any, chance: random.Random) -> Any:
        """A YAML body: good, good but for one place, or hostile. Bytes go out as they are, and count as bad form."""
        good = (
            {"blocked_tools": ["never.*"]} if case.path == "/v1/policy" else yaml.safe_load(self._target.runs.source())
        )
        luck = chance.random()
        if luck < 0.35:
            return good
        return mutated(good, chance) if luck < 0.8 else chance.choice(HOSTILE)


def _drawn(strategy: Any, number: int, start: int) -> list[Any]:
    cases: list[Any] = []

    @seed(start)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Any) -> None:
        cases.append(case)

    try:
        draw()
    except Unsatisfiable:
        # Nothing can be wrong with what has no parameters.
        return []
    return cases


def well_formed_is_accepted(_context: Any, response: Any, case: Any) -> None:
    """Good data is accepted, or refused for what it asks and not for how it is written."""
    status = response.status_code
    if not case.meta.generation.mode.is_positive or status < 400 or status in _REFUSED_IN_GOOD_FORM:
        return
    told = response.json()
    places = [each["pointer"] for each in told.get("errors", ())]
    unsaid = _UNSAID.get(case.operation.label, ())
    meant = told["code"] in _MEANT or (places and all(place.startswith(unsaid) for place in places))
    assert meant, f"well-formed data was refused: {status} {response.text}"


def refusals_are_problems(_context: Any, response: Any, _case: Any) -> None:
    """Every refusal is a problem that agrees with itself and tells nothing of the machine."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    told = response.json()
    said = (told["status"], told["type"], told["title"] != "")
    assert said == (response.status_code, f"urn:signoff:problem:{told['code']}", True), response.text
    leaks = [leak for leak in _LEAKS if leak in response.text]
    assert not leaks, f"the problem tells of the machine ({leaks}): {response.text}"


_CHECKS: Final = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
    well_formed_is_accepted,
    refusals_are_problems,
]
