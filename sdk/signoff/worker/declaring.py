"""`@signoff.tool`: gives a function the name by which workflows call it."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from signoff.errors import ConfigurationError
from signoff.protocol.workflows import TOOL_PATTERN

P = ParamSpec("P")
R = TypeVar("R")
MAX_NAME: Final = 128
_NAME: Final = re.compile(TOOL_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class Declared:
    """A function under a name; `place` is where it stands, for messages."""

    name: str
    function: Callable[..., Any]
    idempotent: bool
    place: str


declared: Final[list[Declared]] = []


def tool(name: str, *, idempotent: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let workflows call a plain or async function as `name`. The function itself stays as it is.

    The node's input becomes its arguments, by name, checked and converted by pydantic as annotated; a name that is
    missing or unknown fails the node. A single parameter `input`, annotated as a dict, a Mapping or a pydantic model,
    takes the input whole. A parameter annotated `ToolContext` is filled in. What it returns is the node's output.

    `ToolFailed` says that it was tried and nothing happened; any other exception counts as that too, but for timeouts
    and lost connections, after which nobody knows, and `OutcomeUnknown`, which says so.

    `idempotent`: its effect may be asked for again with the same `execution_key`, so a lost attempt is repeated.

    Raises `ConfigurationError` for a name that is none and a function that cannot be a tool.
    """
    checked_name(name)

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared.append(Declared(name, _checked(name, function), idempotent, _place(function)))
        return function

    return declare


def checked_name(name: str) -> str:
    """`name`, if a workflow can call a tool by it. Raises `ConfigurationError`."""
    if not isinstance(name, str) or len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r:.150} is no name for a tool: it is like payments.submit, at most {MAX_NAME} characters."
        )
    return name


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if not callable(function) or inspect.isclass(function):
        raise ConfigurationError(f"The tool {name} is no function: put @signoff.tool above a `def`.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"The tool {name} is a generator, which has no result: return one value.")
    return function


def _place(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "unknown place" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
