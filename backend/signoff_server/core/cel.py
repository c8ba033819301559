"""The engine that evaluates expressions: compiled programs, and what it says when it fails.

Its package brings a command line along whose import takes half a second, so the extension is loaded alone. An engine
may panic: that exception is no `Exception`, and counts as a failure like any other.
"""

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import Any, Final


def _load() -> Any:
    package = importlib.util.find_spec("cel")
    spec = PathFinder.find_spec("cel", package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None:
        raise ImportError("the package common-expression-language is not installed: install signoff[server]")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# With this module and its lock: an extension is not to be loaded by two threads at once.
_ENGINE: Final = _load()


class EngineFailed(Exception):
    """Not a program, or one that has no value; `kind` is the name of the engine's own exception."""

    def __init__(self, error: BaseException) -> None:
        line = _first_line(error)
        super().__init__("".join(character if character.isprintable() else "�" for character in line))
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
    return _ENGINE.compile(source)


def _first_line(error: BaseException) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.partition(". Check ")[0].partition(". CEL does")[0][:300].rstrip(".")
