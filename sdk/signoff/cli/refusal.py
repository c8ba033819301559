"""From an error reply to one line that says what stands and what to do."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from signoff.cli import times
from signoff.cli.failures import Conflict, Failure, Fault, Refused, Unreachable
from signoff.cli.replies import Record, moment
from signoff.protocol.visible import visible

_ADVICE: Final[Mapping[str, str]] = {
    "unauthenticated": "Set SIGNOFF_URL and {variable} to a key that stands.",
    "forbidden": "An admin can issue a key that may: signoff keys issue.",
    "view_stale": "Look again: signoff show ID.",
    "rate_limited": "Try again later.",
    "pending_cap": "Try again later.",
}
# How an approval ends; what stands may also be the run that it is asked in.
_CLOSED: Final = ("approved", "rejected", "expired", "cancelled")
_MOST_PLACES: Final = 5
# A kind of id -> the command that lists what there is of it.
_LISTS: Final[Mapping[str, str]] = {
    "apr": "signoff approvals --status all",
    "exe": "signoff executions",
    "key": "signoff keys",
    "prn": "signoff principals",
}
# What has no id of its own -> the command that shows it.
_SHOWN_BY: Final[Mapping[str, str]] = {"policy": "signoff policy", "workflow file": "signoff workflows"}
_REVIEWER_KEY: Final = "SIGNOFF_REVIEWER_KEY"


def failure_of(status: int, problem: Record | None, about: str, variable: str = _REVIEWER_KEY) -> Failure:
    """`problem` is the problem document, None where the answer was none; `about` is what was asked for.

    That is an id, or words that end in it, as `submit_payment of exe_…`; or `workflow ID`, `workflow file`, `policy`.
    `variable` is the one that holds the key.
    """
    if status in (502, 503, 504):
        said = _said(problem, "detail") or f"HTTP {status}"
        return Unreachable(f"The server cannot answer just now ({said}): try again.")
    if problem is None:
        return Failure(f"The answer is not one of a signoff server: HTTP {status}. Check the URL.")
    if status == 404:
        return Failure(unknown(about))
    if status == 409:
        return Conflict(_standing(problem, about))
    return Refused(_refused(problem, variable), list(_faults(problem)))


def where_to_look(about: str, variable: str = _REVIEWER_KEY) -> str:
    """The command that tells what became of it."""
    if about in _SHOWN_BY:
        return _SHOWN_BY[about]
    known = about.rpartition(" ")[2]
    if known.startswith("apr_"):
        return f"signoff show {visible(known)}"
    if known.startswith("exe_"):
        return f"signoff inspect {visible(known)}"
    return "signoff events" if variable == _REVIEWER_KEY else "signoff executions"


def _refused(problem: Record, variable: str = _REVIEWER_KEY) -> str:
    code, detail = _said(problem, "code"), _said(problem, "detail")
    parts = [
        f"{detail or 'The server refused.'} ({code or problem.get('status')})",
        _places(problem),
        _ADVICE.get(code, "").format(variable=variable),
    ]
    return " ".join(part for part in parts if part)


def unknown(about: str) -> str:
    """What to say where there is no such thing, and which command lists those there are."""
    if not about or about in _SHOWN_BY:
        return "The server knows no such path: check the URL."
    shown = visible(about)
    if about.startswith("workflow "):
        return f"There is no {shown} in this project: signoff workflows lists those there are."
    advice = _LISTS.get(about.rpartition(" ")[2].partition("_")[0])
    if advice is None:
        return f"There is no {shown} in this project: signoff approvals lists what waits for a decision."
    return f"There is no {shown} in this project: {advice} lists those there are."


def _standing(problem: Record, about: str) -> str:
    """Who won, and when; else what the server said."""
    code, detail = _said(problem, "code"), _said(problem, "detail")
    current = problem.get("current")
    if not isinstance(current, dict) or "status" not in current:
        return _refused(problem)
    subject = visible(about) or _said(current, "id") or "It"
    if code in ("already_decided", "not_pending", "expired") and current["status"] in _CLOSED:
        return f"{subject} {closing(current)}."
    stands = f"{subject}: {detail} ({code}) It is {_said(current, 'status')}{_redeemed(current)}."
    return f"{stands} {_ADVICE[code]}" if code in _ADVICE else stands


def closing(current: Mapping[str, Any]) -> str:
    """How an approval ended: `was approved by alice (human, via cli) at 2026-11-23 08:15:00 UTC, 3m ago`"""
    status = _said(current, "status") or "decided"
    verb = status if status == "expired" else f"was {status}"
    by, at = current.get("decided_by"), str(current.get("decided_at"))
    when = f" at {times.shown(at)}, {times.age(at)} ago" if moment(at) else ""
    return f"{verb}{_winner(by, _said(current, 'via')) if status != 'expired' else ''}{when}"


def _winner(by: Any, via: str) -> str:
    if not isinstance(by, dict):
        return ""
    name = _said(by, "name") or _said(by, "id") or "the system"
    about = ", ".join(part for part in (_said(by, "kind"), f"via {via}" if via else "") if part)
    return f" by {name} ({about})" if about else f" by {name}"


def _redeemed(current: Record) -> str:
    if "redemption" not in current:
        return ""
    held = current["redemption"]
    if not isinstance(held, dict):
        return " and was not redeemed"
    return f", redeemed with the outcome {_said(held, 'outcome') or 'not yet reported'}"


def _places(problem: Record) -> str:
    shown = [f"{visible(each.pointer) or '(whole)'}: {visible(each.message)}" for each in _faults(problem)]
    return f"[{'; '.join(shown[:_MOST_PLACES])}]" if shown else ""


def _faults(problem: Record) -> Iterator[Fault]:
    errors = problem.get("errors")
    for each in errors if isinstance(errors, list) else []:
        if isinstance(each, dict):
            yield Fault(*(each[part] if isinstance(each.get(part), str) else "" for part in Fault._fields))


def _said(document: Mapping[str, Any] | None, member: str) -> str:
    value = (document or {}).get(member)
    return visible(value) if isinstance(value, str) else ""
