"""Things worth saying once in the life of a process."""

import logging
from typing import Final

_LOG: Final = logging.getLogger("signoff")
_said: set[str] = set()


def log_once(message: str) -> None:
    """Log a warning, unless this process has logged it before."""
    if message not in _said:
        _said.add(message)
        _LOG.warning(message)
