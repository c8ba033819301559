"""The tools of onboarding/workflow.yaml, with one file of JSON in the place of a directory of accounts."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import signoff

DIRECTORY = Path("accounts.json")
MAILS = Path("mails.txt")


@signoff.tool("accounts.open", idempotent=True)
def open_account(name: str) -> dict[str, str]:
    account = f"{name}@example.org"
    with directory() as accounts:
        accounts.setdefault(account, {"state": "open", "teams": []})
    return {"account": account}


@signoff.tool("accounts.grant", idempotent=True)
def grant(account: str, team: str) -> dict[str, Any]:
    with directory() as accounts:
        if account not in accounts:
            raise signoff.ToolFailed(f"there is no account {account}", retryable=False)
        if team not in accounts[account]["teams"]:
            accounts[account]["teams"].append(team)
        return {"teams": list(accounts[account]["teams"])}


@signoff.tool("accounts.close", idempotent=True)
def close(account: str) -> None:
    with directory() as accounts:
        accounts[account] = {"state": "closed", "teams": []}


@signoff.tool("mail.send")
def send(to: str, text: str) -> None:
    """Not idempotent: nobody asks twice for the effect of a mail."""
    with MAILS.open("a", encoding="utf-8") as file:
        file.write(f"{to}: {text}\n")


@contextmanager
def directory() -> Iterator[dict[str, Any]]:
    """The accounts, for one at a time; what was changed is written."""
    with DIRECTORY.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        accounts = json.loads(file.read() or "{}")
        yield accounts
        file.truncate(0)
        file.write(json.dumps(accounts, indent=2))
