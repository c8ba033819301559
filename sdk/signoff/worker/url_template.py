"""The URL of an HTTP tool, in which `{name}` stands for a member of the input.

Rules of the room: input never moves a request. A field stands behind the host, inside the path or as a value of the
query; what is put there is percent-encoded, every sign of it that could mean something; it is never empty in the path
and makes no `.` or `..` there.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from signoff.errors import ConfigurationError
from signoff.worker.far_side import host_of

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BEHIND_THE_HOST: Final = re.compile(r"https?://[^/?#]+[/?].*", re.DOTALL)
_LONGEST: Final = 2_000


class BadValue(Exception):
    """A member of the input cannot stand in the URL. The message names it and shows no value."""


class Template:
    """Made from texts as they stand in the file and, at each odd place, the value of a variable, which has no fields.

    Raises `ConfigurationError`.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self._parts: list[str] = [""]
        for at, piece in enumerate(pieces):
            found = _FIELD.split(piece) if at % 2 == 0 else [piece]
            self._parts[-1] += found[0]
            self._parts += found[1:]
        self.fields = frozenset(self._parts[1::2])
        _check(self._parts)
        self.host = _checked_host("".join("x" if at % 2 else text for at, text in enumerate(self._parts)))

    def render(self, input: Mapping[str, Any]) -> str:  # noqa: A002
        """The URL for one input. Raises `BadValue`."""
        parts = [text if at % 2 == 0 else _encoded(text, input) for at, text in enumerate(self._parts)]
        url = "".join(parts)
        if self.fields:
            _check_segments(url)
        return url


def scalar(value: Any) -> str | None:
    """How a member of the input is written in a URL; None for what has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _encoded(name: str, input: Mapping[str, Any]) -> str:  # noqa: A002
    text = scalar(input.get(name))
    if text is None or not text or len(text) > _LONGEST:
        raise BadValue(f"{name}: is missing, or no text or number that can stand in the URL")
    return quote(text, safe="")


def _check_segments(url: str) -> None:
    segments = urlsplit(url).path.split("/")
    if any(segment in (".", "..") for segment in segments):
        raise BadValue("a value would be `.` or `..` in the path")


def _check(parts: list[str]) -> None:
    before = ""
    for at, text in enumerate(parts):
        if at % 2 == 0:
            before += text
            if "{" in text or "}" in text:
                raise ConfigurationError("a variable is written ${env:NAME}, a member of the input {name}")
            continue
        if parts[at - 1].endswith("$"):
            raise ConfigurationError("a variable of the environment is written ${env:NAME}")
        if not _NAME.fullmatch(text):
            raise ConfigurationError(f"{{{text:.50}}} is no member of an input: letters, digits and _")
        if not _BEHIND_THE_HOST.fullmatch(before):
            raise ConfigurationError("input stands in the path or the query, never in the host")
        query = before.partition("?")[2]
        if "?" in before and "=" not in query.rpartition("&")[2]:
            raise ConfigurationError("input stands in the values of a query, never in its names")
        before += "x"


def _checked_host(url: str) -> str:
    try:
        return host_of(url)
    except ValueError as error:
        raise ConfigurationError(f"`url`: {error}") from None
