"""The handlers of approvals."""

from collections.abc import Sequence

from starlette.responses import Response

from signoff.protocol import models
from signoff_server.core.refusals import Refusal
from signoff_server.service.approvals import Word
from signoff_server.service.wanted import Wanted
from signoff_server.store import ledger
from signoff_server.store.approvals import ApprovalView, Filter
from signoff_server.web import render, wait
from signoff_server.web.call import Call, answer, cursor, is_id, nobodys
from signoff_server.web.problems import as_document


async def create(call: Call) -> Response:
    call.server.creations.check(call.caller.key)
    body: models.CreateApproval = call.body
    wanted = Wanted(
        name=body.name,
        context=body.context,
        arguments=body.arguments,
        summary=body.summary,
        expires_in=body.expires_in,
        reviewers=tuple(body.reviewers),
        metadata=body.metadata,
        on_behalf_of=body.on_behalf_of,
        traceparent=body.traceparent,
    )
    requested = await call.server.approvals.request(call.caller, wanted, call.key)
    shown = _shown(call, requested.view)
    if requested.created:
        return answer(shown, 201, Location=f"/v1/approvals/{shown.id}")
    return answer(shown, 200, **{"Idempotent-Replayed": "true"})


async def search(call: Call) -> Response:
    query: models.ListApprovals = call.query
    # A key that only asks sees its own requests.
    sees_all = call.caller.has("approvals:decide", "approvals:redeem", "admin")
    wanted = Filter(
        status=query.status,
        name=query.name,
        execution_id=query.execution_id,
        requested_by=query.requested_by,
        only_of=None if sees_all else call.caller.id,
        q=query.q,
        before=cursor(query.cursor),
    )
    views, following = await call.server.approvals.search(call.caller, wanted, query.limit)
    page = models.ApprovalList(
        data=[_shown(call, view) for view in views], next_cursor=None if following is None else str(following)
    )
    return answer(page)


async def get(call: Call) -> Response:
    query: models.WaitApproval = call.query
    view = await wait.hold(call, call.path("id"), query.wait)
    return answer(_shown(call, view))


async def decide(call: Call) -> Response:
    body: models.DecideApproval = call.body
    view = await call.server.approvals.decide(
        call.caller, call.path("id"), body.decision, reason=body.reason, seen=body.seen, key=call.key
    )
    return answer(_shown(call, view))


async def decide_each(call: Call) -> Response:
    """Where the server could record none of them, the answer is that; else it is a result for each."""
    body: models.DecideApprovals = call.body
    _check_once_each(body.decisions)
    words = [Word(each.id, each.decision, each.reason, each.seen) for each in body.decisions if is_id(each.id)]
    decided = iter(await call.server.approvals.decide_each(call.caller, words, call.key))
    outcomes = [next(decided) if is_id(each.id) else nobodys() for each in body.decisions]
    away = [outcome for outcome in outcomes if isinstance(outcome, Refusal) and outcome.status >= 500]
    if len(away) == len(outcomes):
        raise away[0]
    results = [_result(call, each.id, outcome) for each, outcome in zip(body.decisions, outcomes, strict=True)]
    # What is not set in a problem does not stand in it either.
    text = models.DecisionResults(results=results).model_dump_json(exclude_unset=True)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type="application/json")


def _check_once_each(decisions: Sequence[models.DecideOne]) -> None:
    first: dict[str, int] = {}
    for at, each in enumerate(decisions):
        if first.setdefault(each.id, at) != at:
            message = f"stands in the list before, at /decisions/{first[each.id]}"
            raise Refusal("invalid", "An approval is decided once.", errors=[(f"/decisions/{at}/id", message)])


def _result(call: Call, approval: str, outcome: ApprovalView | Refusal) -> models.DecisionResult:
    if isinstance(outcome, Refusal):
        told = models.Problem.model_validate(as_document(outcome, call.request.scope["request_id"]))
        return models.DecisionResult(id=approval, status=outcome.status, body=told)
    return models.DecisionResult(id=approval, status=200, body=_shown(call, outcome))


async def cancel(call: Call) -> Response:
    body: models.CancelApproval = call.body
    view = await call.server.approvals.cancel(call.caller, call.path("id"), reason=body.reason, key=call.key)
    return answer(_shown(call, view))


async def redeem(call: Call) -> Response:
    body: models.RedeemApproval = call.body
    lease = await call.server.approvals.redeem(
        call.caller, call.path("id"), binding=body.binding, redeemer=body.redeemer
    )
    shown = _shown(call, lease.view)
    return answer(models.Redeemed(fence=lease.fence, lease_until=render.moment(lease.until), approval=shown))


async def renew(call: Call) -> Response:
    body: models.RenewLease = call.body
    until = await call.server.approvals.renew(call.caller, call.path("id"), body.fence)
    return answer(models.Renewed(lease_until=render.moment(until)))


async def report(call: Call) -> Response:
    body: models.ReportOutcome = call.body
    view = await call.server.approvals.report(
        call.caller, call.path("id"), fence=body.fence, outcome=body.outcome, detail=body.detail
    )
    return answer(_shown(call, view))


async def resolve(call: Call) -> Response:
    body: models.ResolveOutcome = call.body
    view = await call.server.approvals.resolve(
        call.caller, call.path("id"), outcome=body.outcome, reason=body.reason, key=call.key
    )
    return answer(_shown(call, view))


async def events(call: Call) -> Response:
    await call.server.approvals.get(call.caller, call.path("id"))
    found = await call.server.database.read(ledger.of_subject, call.caller.project, call.path("id"))
    return answer(models.EventList(data=[render.event(recorded, data) for recorded, data in found]))


def _shown(call: Call, view: ApprovalView) -> models.Approval:
    return render.approval(view, call.server.url, call.server.world.now())
