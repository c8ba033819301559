"""A world whose clock stands still until it is moved, and whose failpoints raise instead of killing."""

from signoff_server.world import World


class Halt(BaseException):
    """The process would be dead here."""


class StillWorld(World):
    def __init__(self, now: int = 1_790_000_000_000) -> None:
        super().__init__()
        self.time = now
        self.passed: list[str] = []

    def now(self) -> int:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += int(seconds * 1000)

    def failpoint(self, name: str) -> None:
        self.passed.append(name)
