"""The engine that evaluates expressions: compiled programs, and what it says when it fails.

It is loaded when it is first needed. An engine may panic: that exception is no `Exception`, and counts as a failure
like any other.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any


class EngineFailed(Exception):
    """Not a program, or one that has no value; `kind` is the name of the engine's own exception."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(_first_line(error))
        self.kind = type(error).__name__


def compile_program(source: str) -> Any:
    """A program of `source`. Raises `EngineFailed`."""
    try:
        return _compiled(source)
    except BaseException as error:  # noqa: BLE001 - it is raised again, or told as our own
        raise _failed(error) from None


def run(source: str, values: Mapping[str, Any]) -> Any:
    """The value of `source` with the names in `values`, in the engine's types. Raises `EngineFailed`."""
    try:
        return _compiled(source).execute(values)
    except BaseException as error:  # noqa: BLE001 - it is raised again, or told as our own
        raise _failed(error) from None


def _failed(error: BaseException) -> BaseException:
    panicked = type(error).__name__ == "PanicException"
    return EngineFailed(error) if panicked or isinstance(error, Exception) else error


@lru_cache(maxsize=256)
def _compiled(source: str) -> Any:
    # Imports wait for one another: it is loaded by one thread, and would panic where a second one loaded it too.
    from signoff_server.core.engine import ENGINE

    return ENGINE.compile(source)


def _first_line(error: BaseException) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.partition(". Check ")[0].partition(". CEL does")[0][:300].rstrip(".")
