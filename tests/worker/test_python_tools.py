"""Functions as tools: their declaration, their arguments, and what their results and exceptions mean."""

import asyncio
import functools
import http.client
import math
import socket
import threading
import urllib.error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel, Field

import signoff
from signoff import ApprovalRejected, ConfigurationError, OutcomeUnknown, ToolContext, ToolFailed
from signoff.worker.context import set_cancelled
from signoff.worker.declaring import Declared, declared
from signoff.worker.outcome import Completed, Failed, Outcome, Unknown
from signoff.worker.python_tool import PythonTool, ToolLoop
from tests.worker.doubles import CONTEXT


def run(function: Callable[..., Any], input: Mapping[str, Any] | None = None) -> Outcome:  # noqa: A002
    loop = ToolLoop()
    try:
        made = PythonTool(Declared("a.tool", function, False, "here"), loop)
        return asyncio.run(made.run(input or {}, CONTEXT))
    finally:
        loop.close()


# ---------------------------------------------------------------- declaring


def test_the_function_stays_as_it_is() -> None:
    def submit(amount: Decimal) -> str:
        return str(amount)

    before = len(declared)
    assert signoff.tool("payments.submit", idempotent=True)(submit) is submit
    found = declared.pop()
    assert (found.name, found.function, found.idempotent, len(declared)) == ("payments.submit", submit, True, before)
    assert "test_python_tools.py:" in found.place


@pytest.mark.parametrize(
    "name", ["", " a", "a b", "a.", ".a", "a..b", "a\n", "payments.submit\n", "é", "a" * 129, "${{ x }}", None]
)
def test_names_that_are_none(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no name for a tool"):
        signoff.tool(name)


class Plain:
    def method(self, amount: int) -> None:
        """Declared as a tool it would be called without its object."""


def a_generator() -> Any:
    yield 1


async def an_async_generator() -> Any:
    yield 1


@pytest.mark.parametrize("function", [a_generator, an_async_generator, Plain, 7])
def test_what_cannot_be_declared(function: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.tool"):
        signoff.tool("a.tool")(function)


def takes_many(*amounts: int) -> None: ...
def takes_any(**more: int) -> None: ...
def takes_a_field(amount: int = Field(default=1)) -> None: ...
def takes_a_lock(lock: threading.Event) -> None: ...
def takes_nothing_known(amount: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (takes_many, "name each argument"),
        (takes_any, "name each argument"),
        (takes_a_field, "Annotated"),
        (takes_a_lock, "cannot take lock"),
        (takes_nothing_known, "annotations"),
        (Plain.method, "method"),
    ],
)
def test_signatures_that_do_not_fit(function: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        PythonTool(Declared("a.tool", function, False, "here"), ToolLoop())
    assert "a.tool" in str(raised.value)


# ---------------------------------------------------------------- arguments


class Payment(BaseModel):
    amount: Decimal
    to: str


def test_arguments_are_checked_and_converted() -> None:
    def submit(
        amount: Decimal,
        on: date,
        number: UUID,
        payment: Payment,
        note: str = "none",
        *,
        big: Annotated[int, Field(gt=9)],
    ) -> list[Any]:
        return [amount, on, number, payment, note, big]

    given = {
        "amount": "50000.00",
        "on": "2026-11-25",
        "number": "12345678-1234-5678-1234-567812345678",
        "payment": {"amount": "1.10", "to": "ada"},
        "big": 10,
    }
    found = run(submit, given)
    assert found == Completed(
        [
            "50000.00",
            "2026-11-25",
            "12345678-1234-5678-1234-567812345678",
            {"amount": "1.10", "to": "ada"},
            "none",
            10,
        ]
    )


def test_input_that_does_not_fit_names_the_places_and_shows_nothing() -> None:
    def submit(amount: Decimal, payment: Payment, account: int) -> None:
        raise AssertionError("it must not run")

    found = run(submit, {"amount": "s3cret", "payment": {"to": 4711}, "acount": "s3cret"})
    assert isinstance(found, Failed)
    assert found.retryable is False
    for place in ("amount: ", "payment.amount: ", "payment.to: ", "acount: is not known", "account: is missing"):
        assert place in found.message
    assert "s3cret" not in found.message
    assert "4711" not in found.message


def whole_dict(input: dict[str, Any]) -> Any:  # noqa: A002
    return input


def whole_mapping(input: Mapping[str, Any], context: ToolContext) -> Any:  # noqa: A002
    return dict(input)


def whole_model(input: Payment) -> Any:  # noqa: A002
    return input


@pytest.mark.parametrize("function", [whole_dict, whole_mapping, whole_model])
def test_one_parameter_may_take_the_whole_input(function: Any) -> None:
    assert run(function, {"amount": "1.10", "to": "ada"}) == Completed({"amount": "1.10", "to": "ada"})


def test_a_parameter_called_input_is_one_as_any_where_others_stand_beside_it() -> None:
    def both(input: dict[str, int], more: int) -> Any:  # noqa: A002
        return [input, more]

    def a_number(input: int) -> int:  # noqa: A002
        return input

    assert run(both, {"input": {"a": 1}, "more": 2}) == Completed([{"a": 1}, 2])
    assert run(a_number, {"input": 1}) == Completed(1)


def test_the_context_is_filled_in_and_never_taken_from_the_input() -> None:
    def submit(amount: int, /, context: ToolContext | None = None) -> Any:
        assert context is not None
        return [amount, context.execution_key, context.attempt]

    assert run(submit, {"amount": 1}) == Completed([1, "exe_1/submit/1", 1])
    assert isinstance(run(submit, {"amount": 1, "context": {}}), Failed)


def test_the_flag_can_be_read_in_each_way() -> None:
    context = ToolContext("exe_1", "w", "n", "t", "k")
    assert not context.cancelled
    assert context.cancelled.wait(0) is False
    set_cancelled(context)
    assert context.cancelled
    assert context.cancelled.is_set()
    assert context.cancelled.wait() is True
    assert "yes" in repr(context.cancelled)


# ---------------------------------------------------------------- results


@dataclass
class Receipt:
    at: datetime
    total: Decimal


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, None),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        (Receipt(datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.10")), {"at": "2026-01-01T00:00:00Z", "total": "1.10"}),
        (b"abc", "abc"),
        (1.5, 1.5),
    ],
)
def test_results_become_json(value: Any, output: Any) -> None:
    assert run(lambda: value) == Completed(output)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value", [2**60, math.nan, math.inf, object(), b"\xff", "\x00", "\ud800", {1: {2: object()}}, Hostile(), threading]
)
def test_a_result_that_cannot_be_told_is_unknown_since_it_ran(value: Any) -> None:
    assert isinstance(run(lambda: value), Unknown)


def test_an_async_function_behind_a_plain_one_has_not_run() -> None:
    async def submit() -> None:
        raise AssertionError("it must not run")

    @functools.wraps(submit)
    def wrapper() -> Any:
        return submit()

    found = run(wrapper)
    assert isinstance(found, Failed)
    assert "Nothing ran" in found.message


# ---------------------------------------------------------------- exceptions


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("colour", ["plain", "async"])
@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ToolFailed("no such account"), Failed, "no such account"),
        (ToolFailed("no such account", retryable=False), Failed, "no such account"),
        (ValueError("bad iban"), Failed, "ValueError: bad iban"),
        (KeyError("iban"), Failed, "KeyError: 'iban'"),
        (RuntimeError(), Failed, "RuntimeError"),
        (Unprintable(), Failed, "Unprintable"),
        (SystemExit(3), Failed, "SystemExit: 3"),
        (ApprovalRejected(), Failed, "ApprovalRejected: "),
        (ConnectionRefusedError("refused"), Failed, "ConnectionRefusedError: refused"),
        (socket.gaierror("no name"), Failed, "gaierror: no name"),
        (caused_by(httpx.ConnectTimeout(""), TimeoutError()), Failed, "ConnectTimeout"),
        (OutcomeUnknown("the bank did not say"), Unknown, "the bank did not say"),
        (TimeoutError("10 s"), Unknown, "TimeoutError: 10 s"),
        (caused_by(RuntimeError("bank"), TimeoutError()), Unknown, "RuntimeError: bank"),
        (http.client.RemoteDisconnected("gone"), Unknown, "RemoteDisconnected"),
        (urllib.error.URLError(ConnectionResetError()), Failed, "URLError"),
        (httpx.RemoteProtocolError("Server disconnected"), Unknown, "RemoteProtocolError"),
        (httpx.ReadError("reset"), Unknown, "ReadError"),
        (BrokenPipeError(), Unknown, "BrokenPipeError"),
        (ExceptionGroup("several", [ValueError(), TimeoutError()]), Unknown, "ExceptionGroup"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_an_exception_says_about_the_effect(
    error: BaseException, kind: type[Outcome], message: str, colour: str
) -> None:
    def fails() -> None:
        raise error

    async def fails_async() -> None:
        raise error

    found = run(fails if colour == "plain" else fails_async)
    assert type(found) is kind
    assert not isinstance(found, Completed)
    assert message in found.message
    assert "test_python_tools.py:" in found.where
    if isinstance(found, Failed):
        assert found.retryable is getattr(error, "retryable", True)


def test_what_is_raised_for_a_timeout_on_purpose_counts_as_meant() -> None:
    def fails() -> None:
        try:
            raise TimeoutError
        except TimeoutError as error:
            raise ToolFailed("it had not begun") from error

    assert isinstance(run(fails), Failed)


# ---------------------------------------------------------------- cancelling


def cancelled(function: Callable[..., Any], begun: threading.Event) -> Outcome:
    loop = ToolLoop()

    async def stop() -> Outcome:
        made = PythonTool(Declared("a.tool", function, False, "here"), loop)
        running = asyncio.create_task(made.run({}, CONTEXT))
        await asyncio.to_thread(begun.wait, 10)
        running.cancel()
        return await running

    try:
        return asyncio.run(stop())
    finally:
        loop.close()


def test_an_async_tool_that_is_cancelled_is_unknown() -> None:
    begun = threading.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    assert isinstance(cancelled(waits, begun), Unknown)


def test_what_an_async_tool_still_says_when_it_is_cancelled_counts() -> None:
    begun = threading.Event()

    async def waits() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ToolFailed("nothing was sent yet") from None
        return "never"

    found = cancelled(waits, begun)
    assert isinstance(found, Failed)
    assert found.message == "nothing was sent yet"


def test_one_that_is_cancelled_before_its_first_line_has_not_happened() -> None:
    blocked, end = threading.Event(), threading.Event()
    loop = ToolLoop()

    async def blocks() -> None:
        blocked.set()
        end.wait(10)

    async def never() -> None:
        raise AssertionError("it must not run")

    async def stop() -> Outcome:
        first, second = (PythonTool(Declared("a.tool", each, False, "here"), loop) for each in (blocks, never))
        blocking = asyncio.create_task(first.run({}, CONTEXT))
        await asyncio.to_thread(blocked.wait, 10)
        waiting = asyncio.create_task(second.run({}, CONTEXT))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        end.set()
        await blocking
        return await waiting

    assert asyncio.run(stop()) == Failed("It was cancelled before it began.", where="not run")
    loop.close()


def test_an_async_tool_that_blocks_does_not_block_the_worker() -> None:
    begun, end = threading.Event(), threading.Event()

    async def blocks() -> str:
        begun.set()
        end.wait(10)
        return "done"

    async def beside() -> list[Outcome]:
        loop = ToolLoop()
        made = PythonTool(Declared("a.tool", blocks, False, "here"), loop)
        running = asyncio.create_task(made.run({}, CONTEXT))
        await asyncio.to_thread(begun.wait, 10)
        end.set()
        try:
            return [await running]
        finally:
            loop.close()

    assert asyncio.run(beside()) == [Completed("done")]


def test_plain_tools_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    async def run_two() -> list[Outcome]:
        made = PythonTool(Declared("a.tool", lambda: both.wait() >= 0, False, "here"), ToolLoop())
        return await asyncio.gather(made.run({}, CONTEXT), made.run({}, CONTEXT))

    assert asyncio.run(run_two()) == [Completed(True), Completed(True)]
