"""The four calls of a worker: what is sent, and how replies are read; the rules of `signoff.calls` hold here too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from signoff.asking import checked
from signoff.calls import Call, check_id, read_model
from signoff.errors import ServerError
from signoff.protocol import workflows as w
from signoff.transport import Incoming, Outgoing
from signoff.worker.outcome import Failed, Unknown

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Leased:
    """`server_time` is the server's clock as its reply tells it, where it does."""

    items: tuple[w.WorkItem, ...]
    server_time: datetime | None = None


def lease(ask: w.LeaseWork) -> Call[Leased]:
    def accept(reply: Incoming) -> Leased:
        return Leased(tuple(_model(reply, w.LeasedWork).items), _date(reply))

    return _post("/v1/work/lease", ask, accept, hold=ask.wait)


def heartbeat(item_id: str, fence: int) -> Call[w.HeartbeatReply]:
    body = checked(lambda: w.HeartbeatWork(fence=fence))
    return _post(_path(item_id, "heartbeat"), body, lambda reply: _model(reply, w.HeartbeatReply))


def complete(item_id: str, fence: int, output: Any) -> Call[w.Settled]:
    body = checked(lambda: w.CompleteWork(fence=fence, output=output))
    return _post(_path(item_id, "complete"), body, _settled(item_id))


def fail(item_id: str, fence: int, outcome: Failed | Unknown) -> Call[w.Settled]:
    known = isinstance(outcome, Failed)
    body = checked(
        lambda: w.FailWork(
            fence=fence,
            outcome="failed" if known else "unknown",
            message=outcome.message or "It failed, and said nothing.",
            retryable=outcome.retryable if isinstance(outcome, Failed) else True,
        )
    )
    return _post(_path(item_id, "fail"), body, _settled(item_id))


def _post(path: str, body: BaseModel, accept: Callable[[Incoming], Any], *, hold: float = 0.0) -> Call[Any]:
    text = body.model_dump_json(exclude_unset=True).encode()
    headers = {"Content-Type": "application/json"}
    # Each may reach the server twice: the same request, fence or outcome is answered as it was the first time.
    return Call(Outgoing("POST", path, body=text, headers=headers, hold=hold), accept)


def _path(item_id: str, verb: str) -> str:
    return f"/v1/work/{check_id(item_id)}/{verb}"


def _settled(item_id: str) -> Callable[[Incoming], w.Settled]:
    def accept(reply: Incoming) -> w.Settled:
        settled = _model(reply, w.Settled)
        if settled.id != item_id:
            raise ServerError("The server answered for another item.", status_code=reply.status)
        return settled

    return accept


def _model(reply: Incoming, model: type[M]) -> M:
    if reply.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ServerError("The answer is no JSON: it is not one of a signoff server.", status_code=reply.status)
    return read_model(reply.body, model, reply)


def _date(reply: Incoming) -> datetime | None:
    try:
        found = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    return found if found.tzinfo is not None else None
