"""What a tools.yaml may say, and how it is read: the operator's addresses, and secrets by the names of variables.

    allow: ["10.0.0.0/8", "bank.internal"]
    payments.submit:
      kind: http
      method: POST
      url: https://bank.example.com/payments/{account}
      headers: {Authorization: "Bearer ${env:BANK_TOKEN}"}
      timeout: 10s
      idempotent: true
      idempotency_header: Idempotency-Key

`${env:NAME}` stands in `url` and in the values of `headers`. `{name}` in `url` is a member of the input; see
`url_template`. `idempotent` is true for GET where nothing is said, else false.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from signoff.errors import ConfigurationError
from signoff.worker.addresses import Allowed, allowed
from signoff.worker.declaring import checked_name
from signoff.worker.redaction import SHORTEST
from signoff.worker.url_template import Template
from signoff.worker.yaml_file import Path, Read, read

_VARIABLE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_DURATION: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)(ms|s|m)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_LONGEST: Final = 3_600.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
# What decides where a request ends and whom it is for is not the file's to say.
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade"}
)


def _seconds(value: Any) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= _LONGEST:
        raise ValueError("give a time as 500ms, 10s or 2m, at most 60m")
    return seconds


class _Said(BaseModel):
    """One tool, as the file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["http"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Annotated[float, BeforeValidator(_seconds)] = 30.0
    idempotent: bool | None = None
    idempotency_header: str | None = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class HTTPSpec:
    """One HTTP tool with its variables filled in; its headers and URL are secrets."""

    name: str
    method: str
    url: Template = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    idempotent: bool
    idempotency_header: str | None
    place: str


@dataclass(frozen=True, slots=True)
class ToolsFile:
    """What one file says. `secrets` are the values that it took from the environment, by the names of the variables."""

    specs: tuple[HTTPSpec, ...]
    allowed: Allowed
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def too_short(self) -> list[str]:
        """The variables whose values cannot be told from ordinary text, and are not redacted."""
        return sorted(name for name, value in self.secrets.items() if len(value) < SHORTEST)


def read_tools(text: str, file: str, variables: Mapping[str, str], allow: tuple[str, ...] = ()) -> ToolsFile:
    """`allow` adds to what the file allows. Raises `ConfigurationError` naming file, line and column."""
    try:
        said = read(text)
        return _Reading(said, file, variables).whole(allow)
    except ConfigurationError as error:
        raise type(error)(f"{file}: {error}") from error.__cause__


class _Reading:
    def __init__(self, said: Read, file: str, variables: Mapping[str, str]) -> None:
        self._said = said
        self._file = file
        self._variables = variables
        self._used: dict[str, str] = {}

    def whole(self, allow: tuple[str, ...]) -> ToolsFile:
        tools = self._said.data if self._said.data is not None else {}
        if not isinstance(tools, dict):
            raise self._wrong((), "the file is a mapping of tools by their names")
        entries = tools.get("allow", [])
        if not isinstance(entries, list) or not all(isinstance(each, str) for each in entries):
            raise self._wrong(("allow",), "`allow` is a list of networks and host names")
        permits = self._place_of(("allow",), lambda: allowed([*entries, *allow]))
        specs = tuple(self._spec(name, said) for name, said in tools.items() if name != "allow")
        return ToolsFile(specs, permits, self._used)

    def _spec(self, name: str, said: Any) -> HTTPSpec:
        self._place_of((name,), lambda: checked_name(name))
        tool = self._model(name, said)
        headers = {each: self._header(name, each, value) for each, value in tool.headers.items()}
        if tool.idempotency_header is not None:
            self._check_header((name, "idempotency_header"), tool.idempotency_header)
        filled = [
            text if at % 2 == 0 else self._variable((name, "url"), text)
            for at, text in enumerate(_VARIABLE.split(tool.url))
        ]
        url = self._place_of((name, "url"), lambda: Template(filled))
        return HTTPSpec(
            name=name,
            method=tool.method,
            url=url,
            headers=headers,
            timeout=tool.timeout,
            idempotent=tool.method == "GET" if tool.idempotent is None else tool.idempotent,
            idempotency_header=tool.idempotency_header,
            place=f"{self._file}, {self._said.place((name,))}",
        )

    def _model(self, name: str, said: Any) -> _Said:
        try:
            return _Said.model_validate(said)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path: Path = (name, *first["loc"])
            told = first["msg"].removeprefix("Value error, ")
            raise self._wrong(path, f"{'.'.join(str(step) for step in path)}: {told}") from None

    def _header(self, tool: str, name: str, value: str) -> str:
        path = (tool, "headers", name)
        self._check_header(path, name)
        text = _VARIABLE.sub(lambda found: self._variable(path, found[1]), value)
        if "${" in _VARIABLE.sub("", value):
            raise self._wrong(path, "a variable of the environment is written ${env:NAME}")
        if not text.isascii() or not text.isprintable() or text != text.strip():
            raise self._wrong(path, f"the value of {name} is no header: printable ASCII, without spaces at its ends")
        return text

    def _check_header(self, path: Path, name: str) -> None:
        if not _TOKEN.fullmatch(name):
            raise self._wrong(path, f"{name!r:.100} is no name of a header")
        if name.lower() in _OURS:
            raise self._wrong(path, f"the header {name} is made by the worker; leave it out")

    def _variable(self, path: Path, name: str) -> str:
        value = self._variables.get(name)
        if not value:
            raise self._wrong(path, f"the environment has no {name}: set it where the worker is started")
        self._used[name] = value
        return value

    def _place_of(self, path: Path, make: Any) -> Any:
        try:
            return make()
        except ConfigurationError as error:
            raise self._wrong(path, str(error).rstrip(".")) from None

    def _wrong(self, path: Path, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self._said.place(path)}: {what}.")
