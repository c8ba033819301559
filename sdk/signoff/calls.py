"""Each endpoint once, for both clients: what is sent, and how its reply is read.

Rules of the room: a reply is read strictly or not at all: the very status, `application/json`, I-JSON, and the model of
the contract; anything else raises `ServerError`, so that a portal page, a redirect or a truncated body never counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from signoff.asking import checked, fresh_key
from signoff.errors import InvalidRequest, ServerError
from signoff.flow import Ask, Created
from signoff.problems import NOTHING_KNOWN, About, error_from
from signoff.protocol import canonical
from signoff.protocol import models as m
from signoff.transport import Incoming, Outgoing

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
_ID_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the reading of its reply. `repeatable`: reaching the server twice does no harm."""

    request: Outgoing
    accept: Callable[[Incoming], T]
    statuses: tuple[int, ...] = (200,)
    about: About = NOTHING_KNOWN
    repeatable: bool = True

    def read(self, reply: Incoming) -> T:
        """Raises what an error reply means, and `ServerError` for one that cannot be trusted."""
        if reply.status in self.statuses:
            return self.accept(reply)
        if 200 <= reply.status < 400:
            raise _untrusted(reply, "an unexpected status")
        raise error_from(reply.status, reply.headers, reply.body, self.about)


def create(ask: Ask) -> Call[Created]:
    def accept(reply: Incoming) -> Created:
        approval = _model(reply, m.Approval)
        return Created(approval, reply.headers.get("idempotent-replayed", "").lower() == "true")

    request = Outgoing("POST", "/v1/approvals", body=json_body(ask.body), headers=json_headers(ask.idempotency_key))
    return Call(request, accept, statuses=(200, 201), about=About(name=ask.body.name))


def get(approval_id: str, wait: int = 0) -> Call[m.Approval]:
    params = (("wait", str(wait)),) if wait else ()
    request = Outgoing("GET", _path(approval_id), params=params, hold=wait)
    return Call(request, _the_approval(approval_id), about=About(approval_id))


def list_approvals(filters: Mapping[str, Any], cursor: str | None) -> Call[m.ApprovalList]:
    return page("/v1/approvals", {**filters, "cursor": cursor}, m.ApprovalList, m.ListApprovals)


def redeem(approval: m.Approval, redeemer: str) -> Call[m.Redeemed]:
    body = m.RedeemApproval(binding=approval.binding, redeemer=redeemer)
    return _post(approval.id, "redeem", body, m.Redeemed, about=_about(approval))


def renew(approval_id: str, fence: int) -> Call[m.Renewed]:
    return _post(approval_id, "renew", checked(lambda: m.RenewLease(fence=fence)), m.Renewed)


def report(approval_id: str, fence: int, outcome: Any, detail: str | None) -> Call[m.Approval]:
    fields = given(fence=fence, outcome=outcome, detail=detail)
    return _post(approval_id, "outcome", checked(lambda: m.ReportOutcome(**fields)), m.Approval)


def resolve(approval_id: str, outcome: Any, reason: str) -> Call[m.Approval]:
    body = checked(lambda: m.ResolveOutcome(outcome=outcome, reason=reason))
    return _post(approval_id, "resolve", body, m.Approval, key=fresh_key())


def cancel(approval_id: str, reason: str | None) -> Call[m.Approval]:
    body = checked(lambda: m.CancelApproval(**given(reason=reason)))
    return _post(approval_id, "cancel", body, m.Approval, key=fresh_key())


def decide(approval_id: str, decision: Any, reason: str | None, seen: str | None) -> Call[m.Approval]:
    body = checked(lambda: m.DecideApproval(**given(decision=decision, reason=reason, seen=seen)))
    return _post(approval_id, "decision", body, m.Approval, key=fresh_key())


def approval_events(approval_id: str) -> Call[m.EventList]:
    return Call(Outgoing("GET", _path(approval_id, "events")), reader(m.EventList), about=About(approval_id))


def events(filters: Mapping[str, Any], after: int) -> Call[m.EventPage]:
    return page("/v1/events", {**filters, "after": after}, m.EventPage, m.ListEvents)


def list_principals(limit: int, cursor: str | None) -> Call[m.PrincipalList]:
    return page("/v1/principals", {"limit": limit, "cursor": cursor}, m.PrincipalList, m.Paging)


def create_principal(**fields: Any) -> Call[m.PrincipalRecord]:
    body = checked(lambda: m.CreatePrincipal(**given(**fields)))
    return _make("/v1/principals", body, m.PrincipalRecord)


def list_keys(limit: int, cursor: str | None) -> Call[m.KeyList]:
    return page("/v1/keys", {"limit": limit, "cursor": cursor}, m.KeyList, m.Paging)


def issue_key(**fields: Any) -> Call[m.IssuedKey]:
    return _make("/v1/keys", checked(lambda: m.IssueKey(**given(**fields))), m.IssuedKey)


def revoke_key(key_id: str) -> Call[None]:
    return Call(Outgoing("DELETE", f"/v1/keys/{check_id(key_id)}"), lambda reply: None, statuses=(200, 204))


def _post(
    approval_id: str, verb: str, body: BaseModel, reply: type[M], *, key: str | None = None, about: About | None = None
) -> Call[M]:
    request = Outgoing("POST", _path(approval_id, verb), body=json_body(body), headers=json_headers(key))
    accept: Callable[[Incoming], Any] = _the_approval(approval_id) if reply is m.Approval else reader(reply)
    return Call(request, accept, about=about or About(approval_id))


def _make(path: str, body: BaseModel, reply: type[M]) -> Call[M]:
    request = Outgoing("POST", path, body=json_body(body), headers=json_headers(fresh_key()))
    # No approval stands behind these that a second attempt could attach to.
    return Call(request, reader(reply), statuses=(200, 201), repeatable=False)


def page(path: str, wanted: Mapping[str, Any], reply: type[M], filters: type[BaseModel]) -> Call[M]:
    """One page of a list; what `wanted` holds beside None is checked to be of `filters`, and sent."""
    fields = given(**wanted)
    checked(lambda: filters(**fields))
    return Call(Outgoing("GET", path, params=tuple((key, str(value)) for key, value in fields.items())), reader(reply))


def given(**fields: Any) -> dict[str, Any]:
    """Those that are not None: what was left out is not sent."""
    return {name: value for name, value in fields.items() if value is not None}


def json_headers(idempotency_key: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    return headers if idempotency_key is None else headers | {"Idempotency-Key": idempotency_key}


def json_body(body: BaseModel) -> bytes:
    return body.model_dump_json(exclude_unset=True).encode()


def _path(approval_id: str, *rest: str) -> str:
    return "/".join(("/v1/approvals", check_id(approval_id), *rest))


def check_id(text: str, kind: str = "apr") -> str:
    """`text`, if it can be an id. Raises `InvalidRequest`."""
    if not isinstance(text, str) or not 1 <= len(text) <= 100 or not _ID_CHARACTERS.issuperset(text):
        raise InvalidRequest("This is not an id", errors=[("/id", f"an id is like {kind}_ and 26 characters")])
    return text


def _about(approval: m.ResolvedApproval) -> About:
    return About(approval.id, approval.name, approval.url)


def _the_approval(approval_id: str) -> Callable[[Incoming], m.Approval]:
    return reader(m.Approval, lambda approval: approval.id == approval_id, "another approval than was asked for")


def reader(model: type[M], fits: Callable[[M], bool] = lambda reply: True, other: str = "") -> Callable[[Incoming], M]:
    """Reads a reply as `model`; one that does not fit what was asked is `other` than it, and not trusted."""

    def accept(reply: Incoming) -> M:
        made = _model(reply, model)
        if not fits(made):
            raise _untrusted(reply, other)
        return made

    return accept


def _model(reply: Incoming, model: type[M]) -> M:
    if reply.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _untrusted(reply, "no JSON")
    return read_model(reply.body, model, reply)


def read_model(text: bytes | str, model: type[M], reply: Incoming | None = None) -> M:
    """Strictly read JSON as `model`. Raises `ServerError`."""
    try:
        canonical.loads(text)
        return model.model_validate_json(text, strict=True)
    except (canonical.MalformedJSON, canonical.NotCanonical, ValidationError):
        raise _untrusted(reply, "JSON of another form than is agreed") from None


def _untrusted(reply: Incoming | None, what: str) -> ServerError:
    status = reply.status if reply else 0
    return ServerError(
        f"The server's answer cannot be trusted: {what}. Nothing is known to be approved.", status_code=status
    )
