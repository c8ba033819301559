"""What came of one attempt, and how results and exceptions are read as that.

Rules of the room: `Failed` is a promise that nothing happened. A result that cannot be told, a timeout and a connection
that was lost are `Unknown`: a payment may have been made.
"""

import traceback
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from signoff.errors import OutcomeUnknown, ToolFailed
from signoff.protocol import canonical

MAX_MESSAGE: Final = 2_000
_NOBODY_KNOWS: Final = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
# The same by the names that httpx, requests, urllib3 and aiohttp have for it, where nothing above lies beneath.
_LOST: Final = frozenset(
    {"RemoteProtocolError", "ReadError", "WriteError", "ServerDisconnectedError", "IncompleteRead"}
)
# Theirs for a connection that never came about: what lies beneath is a timeout, and nothing was sent.
_NEVER_SENT: Final = frozenset({"ConnectTimeout", "ConnectError", "PoolTimeout", "ConnectTimeoutError"})


@dataclass(frozen=True, slots=True)
class Completed:
    output: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """It was tried and did not happen. `where` is for the log."""

    message: str
    retryable: bool = True
    where: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether it happened. `where` is for the log."""

    message: str
    where: str = ""


Outcome = Completed | Failed | Unknown


def of_result(value: Any) -> Outcome:
    """What a tool returned, as JSON data."""
    try:
        return Completed(canonical.loads(to_json(value)))
    except Exception as error:  # noqa: BLE001 - it ran: whatever a strange object raises must not be told as a failure
        told = f"It ran, and what it returned cannot be told as JSON: return plain data. {text_of(error)}"
        return Unknown(told, _name(error))


def of_exception(error: BaseException) -> Outcome:
    """What an exception that left a tool says about its effect."""
    where = f"{_name(error)}{_line(error)}"
    if isinstance(error, ToolFailed):
        return Failed(text_of(error), error.retryable, where)
    if isinstance(error, OutcomeUnknown):
        return Unknown(text_of(error), where)
    told = f"{_name(error)}: {text_of(error)}".removesuffix(": ")
    if _says_nothing(error):
        return Unknown(f"It broke off, and may have happened: {told}", where)
    return Failed(told, True, where)


def text_of(error: BaseException) -> str:
    """Its message; one that cannot be made is none."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the tool's own class; its name is told all the same
        return ""


def cut(text: str, longest: int = MAX_MESSAGE) -> str:
    """`text` without what JSON cannot carry, at most so long. Redact before: half a secret is not found again."""
    clean = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _says_nothing(error: BaseException) -> bool:
    """Whether it, or what it was raised from, is a timeout or a lost connection."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen or _name(each) in _NEVER_SENT:
            continue
        if isinstance(each, _NOBODY_KNOWS) or _name(each) in _LOST:
            return True
        seen.add(id(each))
        pending += [each.__cause__, None if each.__suppress_context__ else each.__context__]
        pending += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return False


def _name(error: BaseException) -> str:
    return type(error).__name__


def _line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
