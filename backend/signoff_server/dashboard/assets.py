"""The files of the pages: what is in `static/`, read once, under addresses that name their content."""

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

_TYPES: Final = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


class Asset(NamedTuple):
    content: bytes
    media_type: str
    digest: str


def _read() -> dict[str, Asset]:
    found = {}
    for file in files("signoff_server.dashboard").joinpath("static").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            found[file.name] = Asset(content, media_type, hashlib.sha256(content).hexdigest()[:16])
    return found


ASSETS: Final = _read()


def address(name: str) -> str:
    """Where a file of `static/` is: another content has another address, so that it may be kept for ever."""
    return f"/static/{ASSETS[name].digest}/{name}"
