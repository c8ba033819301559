"""Which addresses a tool may reach."""

import pytest

from signoff import ConfigurationError
from signoff.worker.addresses import allowed, parsed

NOTHING = allowed([])

REFUSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "100::1",
    "2001::7f00:1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not NOTHING.permits("bank.example.com", parsed(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_permitted(address: str) -> None:
    assert NOTHING.permits("bank.example.com", parsed(address))


@pytest.mark.parametrize(
    ("entry", "address", "permitted"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "64:ff9b::10.1.2.3", True),
        ("10.0.0.0/8", "11.0.0.1", True),
        ("10.0.0.0/8", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("fd00::/8", "fd12::1", True),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("bank.internal", "10.1.2.3", True),
        ("Bank.Internal.", "127.0.0.1", True),
        ("bank.internal", "::ffff:10.1.2.3", True),
        ("bank.internal", "169.254.169.254", False),
        ("bank.internal", "100.100.100.200", False),
        ("bank.internal", "fd00:ec2::254", False),
        ("bank.internal", "224.0.0.1", False),
        ("bank.internal", "0.0.0.0", False),
        ("other.internal", "10.1.2.3", False),
        ("internal", "10.1.2.3", False),
    ],
)
def test_what_the_operator_allows(entry: str, address: str, permitted: bool) -> None:
    assert allowed([entry]).permits("bank.internal", parsed(address)) is permitted


@pytest.mark.parametrize(
    "entry", ["", "*", "*.internal", "10.0.0.1/8", "10.0.0", "2130706433", "http://x", "a b", "a/b", "x" * 64]
)
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="`allow` cannot take"):
        allowed([entry])
