"""A small disk of its own, and ballast to fill it: a tmpfs, which only root may mount."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

_SIZES: Final = (1 << 16, 1 << 12, 1)


@cache
def unavailable() -> str | None:
    """Why there can be no small disk here; None where there can."""
    if os.geteuid() != 0:
        return "a small disk has to be mounted, and that takes root"
    with tempfile.TemporaryDirectory() as folder:
        tried = _mount(Path(folder), 1)
        if tried.returncode != 0:
            return f"a small disk cannot be mounted here: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return None


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """A folder that is a disk of that size, and gone afterwards. Everybody may look in."""
    folder = tempfile.mkdtemp(prefix="signoff-disk-")
    _mount(Path(folder), mebibytes).check_returncode()
    try:
        yield Path(folder)
    finally:
        # Lazily: a killed server may not have let go of its files yet.
        subprocess.run(["umount", "--lazy", folder], check=True)
        os.rmdir(folder)


class Ballast:
    """A file that takes all the room that is left on a disk."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "ballast"

    def load(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            for size in _SIZES:
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def drop(self) -> None:
        self._path.unlink()


def _mount(folder: Path, mebibytes: int) -> "subprocess.CompletedProcess[str]":
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
