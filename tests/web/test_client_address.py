"""Where a request comes from, and whom to believe about it."""

import pytest
from starlette.requests import Request

from signoff_server.settings import Settings, SettingsError, load
from signoff_server.web.client_address import network_of

PROXIES = "10.0.0.0/8, fd00::/8"


def asked(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return Request({"type": "http", "headers": headers, "client": None if peer is None else (peer, 1)})


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_peer_s_network(peer: str | None, network: str) -> None:
    assert network_of(asked(peer), Settings()) == network


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        # Whoever is no proxy of ours may write what they like.
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.0/24"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.0/24"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.0/24"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.0/24"),
        ("10.0.0.1", ["203.0.113.9,198.51.100.1, 10.1.1.1,fd00::5"], "198.51.100.0/24"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::/64"),
        ("10.0.0.1", ["10.2.2.2"], "10.2.2.0/24"),
        ("10.0.0.1", ["unknown"], "10.0.0.0/24"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.0/24"),
        ("10.0.0.1", [""], "10.0.0.0/24"),
        ("10.0.0.1", [], "10.0.0.0/24"),
    ],
)
def test_the_last_hop_that_is_no_trusted_proxy(peer: str, forwarded: list[str], network: str) -> None:
    settings = load({"trusted_proxies": PROXIES}, {})
    assert network_of(asked(peer, *forwarded), settings) == network


def test_networks_that_are_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load({}, {"SIGNOFF_TRUSTED_PROXIES": "10.0.0.0/8,proxy.example"})
