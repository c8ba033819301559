"""What an operator can set: frozen, validated, every default visible.

Only this and `world` read the environment.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LISTS: Final = ("allowed_hosts", "trusted_proxies")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class SettingsError(ValueError):
    """A setting is wrong; the text names it and says what it may be."""


class Settings(BaseModel):
    """Each setting is the environment variable `SIGNOFF_<NAME>`, and an option of `signoff serve`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = Field(default="signoff.db", description="a file, or the URL of a database")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8484, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    public_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s/?#]+$", description="how people reach this server; its host is allowed"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="more names for the Host header, separated by commas; loopback names always pass"
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="networks whose X-Forwarded-For is believed, separated by commas, as 10.0.0.0/8"
    )
    environment: Literal["dev", "test", "live"] = Field(default="live", description="the middle of every key issued")
    project: str = Field(default="default", description="name of the project that setup makes")
    pending_cap: int = Field(
        default=10_000, ge=0, description="how many approvals one requester may have pending; 0 is no limit"
    )
    creations_per_second: int = Field(
        default=1_000, ge=0, description="how many approvals one key may ask for in a second; 0 is no limit"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="what is logged")

    @property
    def hosts(self) -> frozenset[str]:
        """The Host names that are answered, without their ports."""
        public = () if self.public_url is None else (host_name(self.public_url.partition("://")[2]),)
        bound = () if self.host in ("0.0.0.0", "::") else (self.host,)  # noqa: S104 - a comparison
        return frozenset(name.lower() for name in (*_LOOPBACK, *self.allowed_hosts, *public, *bound))


def environment_with(more: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that is started here."""
    return {**os.environ, **more}


def host_name(host: str) -> str:
    """`[::1]:8484` → `::1`, `example.org:443` → `example.org`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def load(options: Mapping[str, object | None], environment: Mapping[str, str] | None = None) -> Settings:
    """Options first, then `SIGNOFF_…`, then the defaults. Raises `SettingsError`."""
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for name in Settings.model_fields:
        given = options.get(name)
        found = source.get(f"SIGNOFF_{name.upper()}") if given is None else given
        if found is not None and found != "":
            values[name] = _split(found) if name in _LISTS else found
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        raise SettingsError(f"--{name.replace('_', '-')} / SIGNOFF_{name.upper()}: {wrong['msg']}") from error


def _split(found: object) -> object:
    return tuple(part.strip() for part in found.split(",") if part.strip()) if isinstance(found, str) else found
