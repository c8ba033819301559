"""From a node's input to the arguments of a function, by its annotations."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from signoff.errors import ConfigurationError
from signoff.worker.context import ToolContext

_WHOLE: Final = "input"
_MANY: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SHOWN: Final = 20


class Unfit(Exception):
    """The input is not what the function takes; the message names the places and shows no values."""


class Arguments:
    """How one function is called. Raises `ConfigurationError` where it cannot be a tool."""

    def __init__(self, tool: str, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        hints = _hints(tool, function)
        self._contexts = [name for name in self._signature.parameters if _is_context(hints.get(name))]
        given = [each for name, each in self._signature.parameters.items() if name not in self._contexts]
        for parameter in given:
            _check(tool, parameter)
        self._required = {each.name for each in given if each.default is inspect.Parameter.empty}
        self._adapters = {each.name: _adapter(tool, each.name, hints.get(each.name, Any)) for each in given}
        self._whole = list(self._adapters) == [_WHOLE] and _takes_all(hints.get(_WHOLE))

    def bind(self, input: Mapping[str, Any], context: ToolContext) -> inspect.BoundArguments:  # noqa: A002
        """The arguments for one call. Raises `Unfit`."""
        values = self._read({_WHOLE: dict(input)} if self._whole else input)
        values |= dict.fromkeys(self._contexts, context)
        ordered = {name: values[name] for name in self._signature.parameters if name in values}
        return inspect.BoundArguments(self._signature, ordered)

    def _read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        faults = [f"{name}: is missing" for name in sorted(self._required - given.keys())]
        faults += [f"{name}: is not known" for name in sorted(given.keys() - self._adapters.keys())]
        values: dict[str, Any] = {}
        for name in given.keys() & self._adapters.keys():
            try:
                values[name] = self._adapters[name].validate_python(given[name])
            except ValidationError as error:
                faults += _faults(name, error)
        if faults:
            raise Unfit("The input is not what the tool takes: " + "; ".join(faults[:_SHOWN]))
        return values


def _hints(tool: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"The annotations of the tool {tool} cannot be read: {error}.") from error


def _check(tool: str, parameter: inspect.Parameter) -> None:
    if parameter.kind in _MANY:
        raise ConfigurationError(
            f"The tool {tool} takes *{parameter.name}: name each argument, or take the whole by `input: dict`."
        )
    if parameter.name in ("self", "cls"):
        raise ConfigurationError(f"The tool {tool} is a method: declare a function.")
    if isinstance(parameter.default, FieldInfo):
        raise ConfigurationError(
            f"The tool {tool} has a Field as default of {parameter.name}: write Annotated[TYPE, Field(…)] = DEFAULT."
        )


def _adapter(tool: str, name: str, hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint)
    except (PydanticUserError, TypeError, NameError) as error:
        raise ConfigurationError(
            f"The tool {tool} cannot take {name}: its annotation is not of a type that pydantic reads."
        ) from error


def _faults(name: str, error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{'.'.join((name, *(str(step) for step in each['loc'])))}: {each['msg']}" for each in found]


def _is_context(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(each is ToolContext for each in typing.get_args(hint))
    return hint is ToolContext


def _takes_all(hint: Any) -> bool:
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Mapping | BaseModel)
