"""Where a request comes from, as far as that can be known: the peer, or whom a trusted proxy says it stands for.

`X-Forwarded-For` is written by whoever likes to; from its end backwards each name was added by the hop before it, so it
is believed as far as the hops are proxies that the operator trusts, and not one name further.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import Request

from signoff_server.settings import Settings

Address = IPv4Address | IPv6Address
_FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
# What one customer of a provider has.
_PREFIXES: Final = {4: 24, 6: 64}


def network_of(request: Request, settings: Settings) -> str:
    """The network of whoever asks, as `192.0.2.0/24` or `2001:db8::/64`; the same text for all who have no address."""
    found = client_of(request, settings)
    return "unknown" if found is None else str(ip_network((found, _PREFIXES[found.version]), strict=False))


def client_of(request: Request, settings: Settings) -> Address | None:
    """The last hop that is no trusted proxy; None where the connection has no address."""
    found = _address(request.client.host) if request.client else None
    for before in _forwarded(request):
        if found is None or not any(found in proxies for proxies in settings.trusted_proxies):
            break
        claimed = _address(before)
        if claimed is None:
            break
        found = claimed
    return found


def is_from_here(request: Request) -> bool:
    """Whether a program of this machine asks, and for itself: what a proxy passed on comes from anywhere."""
    peer = _address(request.client.host) if request.client else None
    passed_on = any(name in request.headers for name in _FORWARDING)
    return peer is not None and peer.is_loopback and not passed_on


def _forwarded(request: Request) -> Iterator[str]:
    """The names of X-Forwarded-For, the one that was added last first."""
    names = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    return (name.strip() for name in reversed(names))


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped
