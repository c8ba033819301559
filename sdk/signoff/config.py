"""Where the server is and who asks: the only file that reads the environment and the profile files.

For an application, the first of these that says anything: the arguments; SIGNOFF_URL and SIGNOFF_API_KEY; the nearest
`.signoff/app.json` upwards from the working directory; `~/.config/signoff/profile.json`, which `signoff login` wrote.
For a reviewer: the arguments; SIGNOFF_URL and SIGNOFF_REVIEWER_KEY; the nearest `.signoff/reviewer.json`.
For a worker: SIGNOFF_URL and SIGNOFF_WORKER_KEY; the nearest `.signoff/worker.json`.

Rules of the room: URL and key come from one source and are never mixed; a source that says only half is an error; a
file that somebody else owns or may write is refused, since whoever writes it decides what is approved.
"""

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from signoff.errors import ConfigurationError
from signoff.protocol import canonical

Where = Literal["arguments", "environment", "file", "profile"]
_LOG: Final = logging.getLogger("signoff")
_FOLDER: Final = ".signoff"


@dataclass(frozen=True, slots=True)
class Config:
    """One server and one key for it. `project` and `principal` are known where a file named them."""

    url: str
    key: str = field(repr=False)
    where: Where = "arguments"
    reviewer: bool = False
    project: str | None = None
    principal: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked_url(self.url))
        if not self.key.isascii() or not self.key.isprintable() or not self.key or " " in self.key:
            raise ConfigurationError("The API key is empty or holds characters that no key has: copy it again.")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, as its URL tells."""
        return _is_loopback(urlsplit(self.url).hostname or "")

    @property
    def may_decide(self) -> bool:
        """Whether the key was given on purpose; an application's own key must not slip into deciding."""
        return self.reviewer or self.where == "arguments"


def load_app_config(url: str | None = None, key: str | None = None) -> Config:
    """The configuration of an application. Raises `ConfigurationError`."""
    found = (
        _from_arguments(url, key, reviewer=False)
        or _from_environment("SIGNOFF_API_KEY")
        or _from_file(_nearest("app.json"), "file")
        or _from_file(_profile(), "profile")
    )
    if found is None:
        raise ConfigurationError(
            "No server is configured: work in the folder of `signoff dev`, set SIGNOFF_URL and SIGNOFF_API_KEY, "
            "or pass `url` and `api_key` to a client."
        )
    return found


def load_reviewer_config(url: str | None = None, key: str | None = None) -> Config:
    """The configuration of a reviewer, for the command line alone. Raises `ConfigurationError`."""
    found = _from_arguments(url, key, reviewer=True) or _on_purpose("SIGNOFF_REVIEWER_KEY", reviewer=True)
    if found is not None:
        return found
    found = _from_file(_nearest("reviewer.json"), "file", reviewer=True)
    if found is None:
        raise ConfigurationError(
            "No reviewer is configured: work in the folder of `signoff dev`, "
            "or set SIGNOFF_URL and SIGNOFF_REVIEWER_KEY."
        )
    return _of_the_named_server(found, "reviewer.json", "SIGNOFF_REVIEWER_KEY")


def load_worker_config() -> Config:
    """The configuration of a worker: a key of scope `work`. Raises `ConfigurationError`."""
    found = _on_purpose("SIGNOFF_WORKER_KEY") or _from_file(_nearest("worker.json"), "file")
    if found is None:
        raise ConfigurationError(
            "No worker is configured: work in the folder of `signoff dev`, "
            "or set SIGNOFF_URL and SIGNOFF_WORKER_KEY, a key of scope `work`."
        )
    return _of_the_named_server(found, "worker.json", "SIGNOFF_WORKER_KEY")


def _of_the_named_server(found: Config, file: str, key_variable: str) -> Config:
    named = _variable("SIGNOFF_URL")
    if found.where == "file" and named is not None and _checked_url(named) != found.url:
        raise ConfigurationError(
            f"SIGNOFF_URL names another server than .signoff/{file}: set {key_variable}, or unset SIGNOFF_URL."
        )
    return found


def _from_arguments(url: str | None, key: str | None, *, reviewer: bool) -> Config | None:
    if url is None and key is None:
        return None
    if url is None or key is None:
        given, missing = ("url", "api_key") if key is None else ("api_key", "url")
        raise ConfigurationError(f"`{given}` was given without `{missing}`: give both, they are never mixed.")
    return Config(url, key, where="arguments", reviewer=reviewer)


def _from_environment(key_variable: str, *, reviewer: bool = False) -> Config | None:
    url, key = _variable("SIGNOFF_URL"), _variable(key_variable)
    if url is None and key is None:
        return None
    if url is None or key is None:
        given, missing = ("SIGNOFF_URL", key_variable) if key is None else (key_variable, "SIGNOFF_URL")
        raise ConfigurationError(f"{given} is set and {missing} is not: set both or neither, they are never mixed.")
    return Config(url, key, where="environment", reviewer=reviewer)


def _on_purpose(key_variable: str, *, reviewer: bool = False) -> Config | None:
    # SIGNOFF_URL alone belongs to the application beside it; only the key of this role turns to this source.
    if _variable(key_variable) is None:
        return None
    return _from_environment(key_variable, reviewer=reviewer)


def variables() -> Mapping[str, str]:
    """The environment as it is now, for the secrets that a worker's tools name."""
    return dict(os.environ)


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def _nearest(name: str) -> Path | None:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return None
    files = (folder / _FOLDER / name for folder in (here, *here.parents))
    return next((file for file in files if _is_file(file)), None)


def _profile() -> Path | None:
    home = _variable("XDG_CONFIG_HOME")
    try:
        folder = Path(home) if home else Path.home() / ".config"
    except RuntimeError:
        return None
    file = folder / "signoff" / "profile.json"
    return file if _is_file(file) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _from_file(file: Path | None, where: Where, *, reviewer: bool = False) -> Config | None:
    if file is None:
        return None
    said = _read(file)
    url, key = said.get("url"), said.get("key")
    if not isinstance(url, str) or not isinstance(key, str):
        raise ConfigurationError(f"{file} must hold the texts `url` and `key`: write it anew.")
    project, principal = (said.get(name) for name in ("project", "principal"))
    return Config(
        url,
        key,
        where=where,
        reviewer=reviewer,
        project=project if isinstance(project, str) else None,
        principal=principal if isinstance(principal, str) else None,
    )


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            _check_owner(file, os.fstat(stream.fileno()))
            said = canonical.loads(stream.read())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error
    except (canonical.MalformedJSON, canonical.NotCanonical) as error:
        raise ConfigurationError(f"{file} is not JSON: write it anew.") from error
    if not isinstance(said, dict):
        raise ConfigurationError(f"{file} must hold a JSON object: write it anew.")
    return said


def _check_owner(file: Path, facts: os.stat_result) -> None:
    if os.name != "posix":
        return
    if facts.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(f"{file} belongs to another user, who could approve everything: it is not used.")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(f"{file} may be written by others, who could approve everything: chmod 600 it.")
    if facts.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        _LOG.warning("%s holds a key and may be read by others: chmod 600 it", file)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError("The server's URL cannot be read: it is like https://signoff.example.com.") from error
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() or not c.isprintable() for c in url):
        raise ConfigurationError("The server's URL must be like https://signoff.example.com.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError("The server's URL holds no user, query or fragment; the key is given apart from it.")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
