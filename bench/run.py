"""What every subject of the bench is handed: where, how much, and whom to tell."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.databases import Databases
from bench.report import Report
from bench.server import SERVE, Server
from bench.setup import set_up


@dataclass(frozen=True, slots=True)
class Run:
    """`scale` shrinks or grows every count: 1 is what the aims are stated for."""

    folder: Path
    databases: Databases
    report: Report
    scale: float = 1.0

    def count(self, whole: int, *, least: int = 1) -> int:
        return max(least, round(whole * self.scale))

    def server(self, *, code: str = SERVE, env: Mapping[str, str] | None = None) -> Server:
        """A server of its own on an empty database; stops with its `with` block."""
        database = self.databases.make()
        return Server(self.new_folder(), database, set_up(database), code=code, env=env)

    def serve(self, database: str, like: Server, *, code: str = SERVE, env: Mapping[str, str] | None = None) -> Server:
        """A server on a database that was copied from that of another, with its keys."""
        return Server(self.new_folder(), database, like.keys, code=code, env=env)

    def new_folder(self) -> Path:
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        return folder
