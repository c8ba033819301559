"""All the tools of one worker, from the files that its operator names."""

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from signoff.errors import ConfigurationError, printable
from signoff.protocol.workflows import MAX_TOOLS, OfferedTool
from signoff.worker.addresses import allowed
from signoff.worker.context import ToolContext
from signoff.worker.declaring import declared
from signoff.worker.far_side import FarSide
from signoff.worker.http_tool import HTTPTool
from signoff.worker.outcome import Outcome
from signoff.worker.python_tool import PythonTool, ToolLoop
from signoff.worker.redaction import Redactor
from signoff.worker.tools_file import read_tools

DEFAULT_FILES: Final = ("tools.py", "tools.yaml")
_YAML: Final = (".yaml", ".yml")


class Tool(Protocol):
    """`can_stop`: cancelling `run` stops it soon, and it still says what came of it."""

    name: str
    idempotent: bool
    place: str
    can_stop: bool

    async def run(self, input: Mapping[str, Any], context: ToolContext) -> Outcome: ...  # noqa: A002


class Toolbox:
    """Tools by their names. Raises `ConfigurationError` where a name stands twice, or there is none."""

    def __init__(
        self, tools: Iterable[Tool], *, redactor: Redactor | None = None, warnings: Sequence[str] = ()
    ) -> None:
        self._tools: dict[str, Tool] = {}
        self.redactor = redactor or Redactor()
        self.warnings = tuple(warnings)
        for tool in tools:
            self._add(tool)
        if not self._tools:
            raise ConfigurationError("The files hold no tools: put @signoff.tool above a function, or fill tools.yaml.")
        if len(self._tools) > MAX_TOOLS:
            raise ConfigurationError(
                f"A worker offers at most {MAX_TOOLS} tools: start several, with files of their own."
            )

    @property
    def offered(self) -> list[OfferedTool]:
        return [OfferedTool(name=each.name, idempotent=each.idempotent) for each in self._tools.values()]

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def _add(self, tool: Tool) -> None:
        # Policies do not tell names apart by their case, so tools may not either.
        same = next((each for name, each in self._tools.items() if name.lower() == tool.name.lower()), None)
        if same is not None:
            raise ConfigurationError(f"Two tools are called {tool.name}: at {same.place} and {tool.place}. Rename one.")
        self._tools[tool.name] = tool


def load(
    files: Sequence[Path], *, variables: Mapping[str, str], allow: tuple[str, ...] = (), hidden: Iterable[str] = ()
) -> Toolbox:
    """Runs the Python files and reads the YAML files. `hidden` are more secrets. Raises `ConfigurationError`."""
    allowed(allow)
    begin = len(declared)
    # These first, so that the secrets are known to whatever the others raise.
    read = [read_tools(_text(file), str(file), variables, allow) for file in files if file.suffix in _YAML]
    redactor = Redactor([*hidden, *(value for each in read for value in each.secrets.values())])
    for file in files:
        if file.suffix not in _YAML:
            _run(file, redactor)
    loop, far_side = ToolLoop(), FarSide()
    python = [PythonTool(each, loop) for each in declared[begin:]]
    http = [HTTPTool(spec, each.allowed, far_side, redactor) for each in read for spec in each.specs]
    short = [name for each in read for name in each.too_short]
    warnings = [f"{name} is too short to be told from ordinary text: it is not redacted" for name in short]
    return Toolbox([*python, *http], redactor=redactor, warnings=warnings)


def run_file(file: Path) -> ModuleType:
    """Import a Python file, with its folder on the path as Python does for a script. Raises `ConfigurationError`."""
    path = file.resolve()
    if path.suffix != ".py":
        raise ConfigurationError(f"{file} is no file of tools: they end in .py, .yaml or .yml.")
    if not path.is_file():
        raise ConfigurationError(f"There is no {file}: write it, or name another file by --tools.")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_{len(sys.modules)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{file} cannot be loaded: {_told(error, path)}.") from error
    return module


def _run(file: Path, redactor: Redactor) -> None:
    try:
        run_file(file)
    except ConfigurationError as error:
        raise ConfigurationError(redactor.text(str(error))) from error


def _told(error: BaseException, path: Path) -> str:
    what = f"{type(error).__name__}: {printable(str(error))}"
    if isinstance(error, SyntaxError):
        return what
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{what} (line {lines[-1]})" if lines else what


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"There is no {file}: write it, or name another file by --tools.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read ({type(error).__name__}): it is UTF-8 text.") from None
