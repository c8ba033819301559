"""A payments program that is killed again and again: `python -m tests.crash.caller NAME FOLDER`.

It works off a growing series of jobs, several at a time, and journals what it does and what it is told. Started anew it
goes on with the jobs whose end is not in its journal. Standard input tells it:

    jobs N       the series now goes up to N
    again        something was settled: try once more what had to be left
    die STAGE    end by SIGKILL at that stage of the next payment
    end          the series is complete: leave when all is done
"""

import asyncio
import logging
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

import signoff.engine
from signoff import AlreadyRedeemed, ApprovalRejected, AsyncSignoff, OutcomeUnknown, Signoff
from tests.crash.journal import Journal, Journals, read

NAME: Final = "payments.wire_transfer"
STAGES: Final = ("entered", "begun", "paid", "ended")
# name -> (colour, transport); the position in here says whose a job is.
CALLERS: Final = {"ann": ("sync", "auto"), "ben": ("async", "auto"), "cleo": ("sync", "poll")}
AT_ONCE: Final = 4
# The server of a run keeps leases for `LEASE_SECONDS`; they are renewed three times as often, as in production.
LEASE_SECONDS: Final = 4
RENEW_EVERY: Final = LEASE_SECONDS / 3
# A busy machine takes its time to start a server that is killed again at once; that is no violation.
RETRY_FOR: Final = 300.0


class PaymentDeclined(Exception):
    """The bank said no: the block fails."""


def context(job: int) -> dict[str, Any]:
    return {"job": job, "amount": f"{job}.00", "currency": "EUR", "to": "DE89 3704 0044 0532 0130 00"}


def key(job: int) -> str:
    return f"wire:{job}"


def declined(job: int) -> bool:
    return job % 10 == 7


def shared(job: int) -> bool:
    """Whether two callers are given this job."""
    return job % 4 == 0


def is_job_of(name: str, job: int) -> bool:
    at, count = list(CALLERS).index(name), len(CALLERS)
    return job % count == at or (shared(job) and (job + 1) % count == at)


class Jobs:
    """What is still to be done, for worker threads; None says that there is no more."""

    def __init__(self, name: str, done: set[int]) -> None:
        self._name = name
        self._done = done
        self._lock = threading.Lock()
        self._known = 0
        self._open: set[int] = set()
        self._later: set[int] = set()
        self._complete = False
        self._ready: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def take(self) -> int | None:
        return self._ready.get()

    def up_to(self, last: int) -> None:
        with self._lock:
            for job in range(self._known + 1, last + 1):
                if is_job_of(self._name, job) and job not in self._done:
                    self._open.add(job)
                    self._ready.put(job)
            self._known = max(self._known, last)

    def again(self) -> None:
        with self._lock:
            for job in sorted(self._later):
                self._ready.put(job)
            self._later.clear()

    def settle(self, job: int, *, done: bool) -> None:
        """One attempt is over; what is not done is tried later."""
        with self._lock:
            if done:
                self._open.discard(job)
            else:
                self._later.add(job)
            self._leave_if_over()

    def end(self) -> None:
        with self._lock:
            self._complete = True
            self._leave_if_over()

    def _leave_if_over(self) -> None:
        if self._complete and not self._open:
            for _ in range(AT_ONCE):
                self._ready.put(None)


class Payments:
    """One attempt at one job, whatever the colour of the client."""

    def __init__(self, name: str, journals: Journals) -> None:
        self._journal = Journal(journals.caller(name))
        self._bank = Journal(journals.bank)
        self._fate: str | None = None

    def doom(self, stage: str) -> None:
        self._fate = stage

    def ask(self, job: int) -> dict[str, Any]:
        """The arguments of `require_approval`."""
        self._journal.write("ask", job=job)
        return {
            "name": NAME,
            "context": context(job),
            "idempotency_key": key(job),
            "on_pending": lambda approval: self._journal.write("created", job=job, id=approval.id),
        }

    def block(self, job: int, approval: Any) -> None:
        """What stands under the approval."""
        facts = {"job": job, "id": approval.id, "key": approval.execution_key, "fence": approval.redemption.fence}
        self._die_at("entered")
        self._journal.write("begin", **facts)
        self._die_at("begun")
        if declined(job):
            self._journal.write("end", outcome="failed", **facts)
            raise PaymentDeclined
        self._bank.write("paid", **facts)
        self._die_at("paid")
        self._journal.write("end", outcome="succeeded", **facts)
        self._die_at("ended")

    def left(self, job: int) -> bool:
        self._journal.write("left", job=job, outcome="succeeded", done=True)
        return True

    def raised(self, job: int, error: Exception) -> bool:
        """Journals what the `with` statement raised; answers whether the job is at its end."""
        about: dict[str, Any] = {"error": type(error).__name__, "id": getattr(error, "approval_id", None)}
        match error:
            case PaymentDeclined():
                self._journal.write("left", job=job, outcome="failed", done=True)
                return True
            case ApprovalRejected():
                about |= {"reason": error.reason, "by": error.decided_by.id, "done": True}
            case AlreadyRedeemed():
                about |= {"outcome": error.outcome, "done": error.outcome in ("succeeded", "failed")}
            case OutcomeUnknown():
                about |= {"done": False}
            case _:
                about |= {"text": repr(error), "wrong": True, "done": True}
        self._journal.write("raised", job=job, **about)
        return bool(about["done"])

    def said(self, text: str) -> None:
        self._journal.write("log", text=text)

    def _die_at(self, stage: str) -> None:
        if self._fate == stage:
            os.kill(os.getpid(), signal.SIGKILL)


class _Said(logging.Handler):
    """What the SDK logs as an error belongs to what was seen to happen."""

    def __init__(self, payments: Payments) -> None:
        super().__init__(logging.ERROR)
        self._payments = payments

    def emit(self, record: logging.LogRecord) -> None:
        self._payments.said(record.getMessage())


def work(client: Signoff, payments: Payments, jobs: Jobs) -> None:
    while (job := jobs.take()) is not None:
        try:
            with client.require_approval(**payments.ask(job)) as approval:
                payments.block(job, approval)
            done = payments.left(job)
        except Exception as error:  # noqa: BLE001 - it is journalled and judged at the end
            done = payments.raised(job, error)
        jobs.settle(job, done=done)


async def work_async(client: AsyncSignoff, payments: Payments, jobs: Jobs) -> None:
    while (job := await asyncio.to_thread(jobs.take)) is not None:
        try:
            async with client.require_approval(**payments.ask(job)) as approval:
                payments.block(job, approval)
            done = payments.left(job)
        except Exception as error:  # noqa: BLE001 - it is journalled and judged at the end
            done = payments.raised(job, error)
        jobs.settle(job, done=done)


def listen(payments: Payments, jobs: Jobs) -> None:
    """Do as standard input says, to its end."""
    for line in sys.stdin:
        order, _, rest = line.strip().partition(" ")
        match order:
            case "jobs":
                jobs.up_to(int(rest))
            case "again":
                jobs.again()
            case "die":
                payments.doom(rest)
            case "end":
                jobs.end()


def run_sync(transport: Any, payments: Payments, jobs: Jobs) -> None:
    with Signoff(transport=transport, retry_for=RETRY_FOR) as client:
        workers = [threading.Thread(target=work, args=(client, payments, jobs)) for _ in range(AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


async def run_async(transport: Any, payments: Payments, jobs: Jobs) -> None:
    async with AsyncSignoff(transport=transport, retry_for=RETRY_FOR) as client:
        await asyncio.gather(*(work_async(client, payments, jobs) for _ in range(AT_ONCE)))


def main(name: str, folder: Path) -> None:
    signoff.engine.RENEW_EVERY = RENEW_EVERY  # type: ignore[misc]
    colour, transport = CALLERS[name]
    journals = Journals(folder)
    payments = Payments(name, journals)
    logging.getLogger("signoff").addHandler(_Said(payments))
    jobs = Jobs(name, {line["job"] for line in read(journals.caller(name)) if line.get("done")})
    threading.Thread(target=listen, args=(payments, jobs), daemon=True).start()
    print("ready", flush=True)
    if colour == "sync":
        run_sync(transport, payments, jobs)
    else:
        asyncio.run(run_async(transport, payments, jobs))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
