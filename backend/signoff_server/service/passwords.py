"""Passwords by Argon2id (RFC 9106): hashed and checked in two threads at most, since each takes 64 MiB and 0.1 s.

Rules of the room: whoever has no password costs as much time as a wrong one; passwords are compared in Unicode's form
NFC, as keyboards differ in how they write one letter.
"""

import asyncio
import base64
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY as PARAMETERS

from signoff_server.core.refusals import Refusal
from signoff_server.core.sign_in import LONGEST_PASSWORD, SHORTEST_PASSWORD
from signoff_server.world import World

T = TypeVar("T")
_AT_ONCE: Final = 2
# Who comes after so many would wait for longer than anybody does.
_MOST_WAITING: Final = 64


class Passwords:
    """Belongs to one event loop at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hasher = PasswordHasher.from_parameters(PARAMETERS)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="signoff-password")
        self._nobodys = _no_hash(world)
        self._waiting = 0

    async def hashed(self, password: str) -> str:
        """The hash to keep. Raises `Refusal`."""
        salt = self._world.random(PARAMETERS.salt_len)
        return await self._in_thread(lambda: self._hasher.hash(_bytes(password), salt=salt))

    async def fits(self, kept: str | None, password: str) -> bool:
        """Whether this is the password of that hash; False, as slowly, where there is no hash. Raises `Refusal`."""
        return await self._in_thread(lambda: self._verify(kept or self._nobodys, password))

    def is_old(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than are used today."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Whoever waits yet is told nothing; what is being hashed is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, function: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Refusal("unavailable", "Too many sign in at this moment; try again.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        finally:
            self._waiting -= 1


def check(password: str) -> None:
    """Raises `Refusal` for a password that is too short or too long."""
    length = len(unicodedata.normalize("NFC", password))
    if not SHORTEST_PASSWORD <= length <= LONGEST_PASSWORD:
        said = f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters."
        raise Refusal("invalid", said, errors=[("/password", f"this one has {length}")])


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _no_hash(world: World) -> str:
    """A hash of nothing that anybody could know, which takes as long to check as a real one."""
    salt, made = (
        base64.b64encode(world.random(size)).decode().rstrip("=") for size in (PARAMETERS.salt_len, PARAMETERS.hash_len)
    )
    costs = f"m={PARAMETERS.memory_cost},t={PARAMETERS.time_cost},p={PARAMETERS.parallelism}"
    return f"$argon2id$v={PARAMETERS.version}${costs}${salt}${made}"
