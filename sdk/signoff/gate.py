"""`@approval_required`: require, redeem and report around one function."""

import functools
import inspect
import string
import types
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast

from signoff.approval import Approval
from signoff.async_client import AsyncSignoff
from signoff.default import default_async_client, default_client
from signoff.errors import ConfigurationError
from signoff.sync_client import Signoff

P = ParamSpec("P")
R = TypeVar("R")
_OWNERS: Final = ("self", "cls")


def approval_required(
    name: str,
    *,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    expires_in: int | None = None,
    reviewers: Sequence[str] = (),
    summary: str | None = None,
    metadata: Mapping[str, str] | None = None,
    on_behalf_of: str | None = None,
    on_pending: Callable[[Approval], Any] | None = None,
    client: Signoff | AsyncSignoff | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a plain or async function run only under an approval of its own call.

    The bound arguments, defaults included, are the context that the reviewer sees; `self` and `cls` are left out. The
    approval is redeemed before the function runs and its outcome is reported after. A parameter annotated `Approval`
    (or `Approval | None`) is filled in and is no part of the context; whatever a caller passes for it is replaced.
    `idempotency_key` is a template over the arguments: `"wire:{invoice_id}"`. The other options are those of
    `require_approval`; `client` replaces the shared one.

    Raises `ConfigurationError` where a template names no parameter or a function cannot be gated (a generator would run
    after its block), and on each call what `with require_approval(...)` raises.
    """
    options: dict[str, Any] = {
        "timeout": timeout,
        "expires_in": expires_in,
        "reviewers": reviewers,
        "summary": summary,
        "metadata": metadata,
        "on_behalf_of": on_behalf_of,
        "on_pending": on_pending,
    }

    def gate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError("A generator cannot be gated: it would run after its approval was reported.")
        call = _Call(function, idempotency_key)
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", _async_gate(name, function, call, options, client))
        return _sync_gate(name, function, call, options, client)

    return gate


def _sync_gate(
    name: str, function: Callable[P, R], call: "_Call", options: dict[str, Any], client: Signoff | AsyncSignoff | None
) -> Callable[P, R]:
    if isinstance(client, AsyncSignoff):
        raise ConfigurationError("An AsyncSignoff gates async functions: pass a Signoff.")

    @functools.wraps(function)
    def gated(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = call.bind(args, kwargs)
        asked = (client or default_client()).require_approval(name, **call.question(bound), **options)
        with asked as approval:
            positional, named = call.filled(bound, approval)
            return function(*positional, **named)

    return gated


def _async_gate(
    name: str,
    function: Callable[..., Awaitable[Any]],
    call: "_Call",
    options: dict[str, Any],
    client: Signoff | AsyncSignoff | None,
) -> Callable[..., Awaitable[Any]]:
    if isinstance(client, Signoff):
        raise ConfigurationError("A Signoff gates plain functions: pass an AsyncSignoff.")

    @functools.wraps(function)
    async def gated(*args: Any, **kwargs: Any) -> Any:
        bound = call.bind(args, kwargs)
        asked = (client or default_async_client()).require_approval(name, **call.question(bound), **options)
        async with asked as approval:
            positional, named = call.filled(bound, approval)
            return await function(*positional, **named)

    return gated


class _Call:
    """From a call's arguments to the question, and back to a call."""

    def __init__(self, function: Callable[..., Any], template: str | None) -> None:
        self._function = function
        self._signature = inspect.signature(function)
        self._template = template
        if template is not None:
            _check_template(template, self._signature)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """The arguments by name, without the approval's. Raises `TypeError` as the function would."""
        open_parameters = [each for name, each in self._signature.parameters.items() if name not in self._filled_in]
        kept = {name: value for name, value in kwargs.items() if name not in self._filled_in}
        bound = self._signature.replace(parameters=open_parameters).bind(*args, **kept)
        bound.apply_defaults()
        return bound

    def question(self, bound: inspect.BoundArguments) -> dict[str, Any]:
        context = dict(bound.arguments)
        first = next(iter(self._signature.parameters), None)
        if first in _OWNERS:
            context.pop(first, None)
        key = None if self._template is None else self._template.format(**bound.arguments)
        return {"context": context, "idempotency_key": key}

    def filled(self, bound: inspect.BoundArguments, approval: Approval) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values = {**bound.arguments, **dict.fromkeys(self._filled_in, approval)}
        ordered = {name: values[name] for name in self._signature.parameters if name in values}
        call = inspect.BoundArguments(self._signature, ordered)
        return call.args, call.kwargs

    @functools.cached_property
    def _filled_in(self) -> frozenset[str]:
        # Read at the first call: an annotation may name what stands further down in its module.
        try:
            hints = typing.get_type_hints(self._function)
        except (NameError, AttributeError, TypeError):
            hints = {name: each.annotation for name, each in self._signature.parameters.items()}
        return frozenset(name for name in self._signature.parameters if _is_approval(hints.get(name)))


def _is_approval(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(each is Approval for each in typing.get_args(hint))
    return hint is Approval or hint in ("Approval", "Approval | None", "signoff.Approval")


def _check_template(template: str, signature: inspect.Signature) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ConfigurationError("The template of the idempotency key cannot be read.") from error
    for field in fields:
        name = field.replace("[", ".").partition(".")[0]
        if name not in signature.parameters:
            raise ConfigurationError(f"The template of the idempotency key names {name!r}, which is no parameter.")
