"""What the worker says of itself: lines for people on stderr, or JSON lines on stdout. Never inputs, never secrets."""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

from signoff.errors import printable
from signoff.worker.outcome import Completed, Failed, Outcome
from signoff.worker.redaction import Redactor

_LOG: Final = logging.getLogger("signoff")


def tell(event: str, text: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """One line: `text` for people, `event` and `facts` for programs."""
    _LOG.log(level, "%s", text, extra={"facts": {"event": event, **facts}})


def tell_settled(item: Any, outcome: Outcome, milliseconds: int) -> None:
    """What came of one attempt, after it was reported."""
    word, where = in_words(outcome)
    line = f"{printable(item.tool)} {printable(item.execution_id)} attempt {item.attempt}: {word}, {milliseconds} ms"
    tell(
        "settled",
        f"{line} ({printable(where)})" if where else line,
        level=logging.INFO if isinstance(outcome, Completed) else logging.WARNING,
        tool=item.tool,
        execution=item.execution_id,
        attempt=item.attempt,
        outcome=word,
        milliseconds=milliseconds,
        **({"where": where} if where else {}),
    )


def in_words(outcome: Outcome) -> tuple[str, str]:
    """The word for it, and where it came from."""
    if isinstance(outcome, Completed):
        return "completed", ""
    return ("failed" if isinstance(outcome, Failed) else "unknown"), outcome.where


class Lines(logging.Formatter):
    """Lines in which no secret stands, whoever logged them. The secrets are known once the tools are loaded."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._as_json = as_json
        self.redactor = Redactor()

    def format(self, record: logging.LogRecord) -> str:
        if not self._as_json:
            return self.redactor.text(super().format(record))
        facts: Mapping[str, Any] | None = getattr(record, "facts", None)
        if facts is None:
            facts = {"event": "log", "level": record.levelname.lower(), "message": super().format(record)}
        return json.dumps(self.redactor.data(dict(facts)))


def set_up(*, as_json: bool) -> Lines:
    """Send the process's log there. What tools print goes to stderr where stdout is for JSON."""
    stream: TextIO = sys.stderr
    if as_json:
        stream, sys.stdout = sys.stdout, sys.stderr
    lines = Lines(as_json=as_json)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(lines)
    logging.getLogger().addHandler(handler)
    _LOG.setLevel(logging.INFO)
    return lines
