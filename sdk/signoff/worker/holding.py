"""A worker's ties to what started it: a lock file that shows that it lives, and a pipe whose end is its own end."""

import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from signoff.errors import ConfigurationError

_PRIVATE: Final = 0o600


class LockHeld(Exception):
    """Another worker lives and holds the lock."""


def hold(file: Path) -> int:
    """Take the lock for as long as this process lives; answers its descriptor. Raises `LockHeld`."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, _PRIVATE)
    except OSError as error:
        raise ConfigurationError(f"The lock {file} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LockHeld(f"Another worker holds {file}: end it first, or name another file.") from error
    _let_go_in_children(descriptor)
    return descriptor


def hold_on(file: Path, descriptor: int) -> int:
    """The lock that this process took before it began anew, or else a fresh one. Raises `LockHeld`."""
    try:
        held, named = os.fstat(descriptor), file.stat()
    except OSError:
        return hold(file)
    if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino):
        return hold(file)
    os.set_inheritable(descriptor, False)
    _let_go_in_children(descriptor)
    return descriptor


def end_with(descriptor: int) -> None:
    """End this process at once when the pipe ends. Raises `ConfigurationError` where there is none."""
    try:
        os.fstat(descriptor)
        os.set_blocking(descriptor, True)
    except OSError as error:
        raise ConfigurationError(f"--lifeline {descriptor} is no open descriptor.") from error
    threading.Thread(target=_follow, args=(descriptor,), name="signoff lifeline", daemon=True).start()


def _follow(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    finally:
        # Whoever reads the lock next counts this worker's leases as ended: nothing of it may live on.
        os._exit(0)


def _let_go_in_children(descriptor: int) -> None:
    # A child that a tool forks would hold the lock beyond the worker's end.
    os.register_at_fork(after_in_child=lambda: os.close(descriptor))
