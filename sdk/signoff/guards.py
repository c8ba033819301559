"""What a call refuses before anything is sent."""

import asyncio
from typing import Final

from signoff.config import Config
from signoff.errors import ConfigurationError

_NEEDS_GIVEN_KEY: Final = "Deciding takes a key that was given for it: pass `url` and `api_key` to the client."


def refuse_in_loop(name: str, twin: str) -> None:
    """Raises `ConfigurationError` inside a running event loop, which would stand still for the whole wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(f"{name} would block the running event loop: await {twin} instead.")


def check_may_decide(config: Config) -> None:
    """Raises `ConfigurationError` unless the key was given for deciding; an application's must not slip into it."""
    if not config.may_decide:
        raise ConfigurationError(_NEEDS_GIVEN_KEY)
