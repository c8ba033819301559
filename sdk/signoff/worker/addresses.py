"""Which addresses an HTTP tool may connect to: public ones, and what the operator allows.

Pure. An address is judged as what it leads to: an IPv4 address inside an IPv6 one, be it mapped, translated (NAT64, RFC
6052) or tunnelled (6to4, Teredo), counts as itself.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from signoff.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64: Final = IPv6Network("64:ff9b::/96")
# All that is given out of IPv6 so far (RFC 4291); whatever lies elsewhere is no host on the internet.
_GIVEN_OUT: Final = IPv6Network("2000::/3")
_LOCAL: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)
# Services inside of clouds that hand out credentials, some of them at public or merely local addresses.
_METADATA: Final[tuple[Network, ...]] = tuple(
    ip_network(text) for text in ("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128")
)
# Set apart or given up by the registries (RFC 6890, 7526, 9637), which not every Python knows yet.
_SET_APART: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_HOST: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows besides public addresses: networks, and names whatever local address they have.

    A name does not open link-local addresses or those of a cloud's metadata; only a network that holds them does.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def permits(self, host: str, address: Address) -> bool:
        is_named = host.lower().rstrip(".") in self.hosts
        return all(
            is_public(face) or _within(face, self.networks) or (is_named and _is_local(face))
            for face in _faces(address)
        )


def allowed(entries: Iterable[str]) -> Allowed:
    """From texts as `10.0.0.0/8`, `192.0.2.7`, `bank.internal`. Raises `ConfigurationError`."""
    networks: list[Network] = []
    hosts: set[str] = set()
    for entry in entries:
        try:
            networks.append(ip_network(entry))
        except ValueError as error:
            if "/" in entry or not _HOST.fullmatch(entry) or entry.replace(".", "").isdigit():
                raise ConfigurationError(
                    f"`allow` cannot take {entry!r:.100}: give a network as 10.0.0.0/8, an address, or a host name."
                ) from error
            hosts.add(entry.lower().rstrip("."))
    return Allowed(tuple(networks), frozenset(hosts))


def is_public(address: Address) -> bool:
    """Whether it is a host on the internet, whoever asks."""
    if _within(address, _METADATA + _SET_APART) or not address.is_global or address.is_multicast:
        return False
    return not address.is_reserved if address.version == 4 else address in _GIVEN_OUT


def parsed(text: str) -> Address:
    """An address as a resolver writes it; the zone of a link-local one is left out."""
    return ip_address(text.partition("%")[0])


def _faces(address: Address) -> tuple[Address, ...]:
    """The address, or those that it leads to."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    return (address,) if address.teredo is None else (address, *address.teredo)


def _is_local(address: Address) -> bool:
    return _within(address, _LOCAL) and not _within(address, _METADATA)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
