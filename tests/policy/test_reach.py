"""Which addresses a forward proxy may connect to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.reach import Networks, Reach, public


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "104.18.0.1",
        "2606:4700::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "1.1.1.1",
        "192.0.1.1",
        "192.88.98.1",
        "223.255.255.1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "3fff:1000::1",
    ],
)
def test_public(address: str) -> None:
    assert public(address)
    assert Reach(()).allows("h", address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1",
        "2002:a9fe:a9fe::", "192.0.0.192", "192.0.0.9", "192.88.99.1", "198.18.0.1", "203.0.113.9",
        "198.51.100.1",
        "64:ff9b:1::a9fe:a9fe", "64:ff9b::1:a9fe:a9fe", "::a9fe:a9fe", "::808:808",
        "::ffff:0:a9fe:a9fe", "::ffff:0:808:808", "fec0::1", "feff::1", "5f00::1", "100::1",
        "2001::1", "2001:2::1", "2001:20::1", "3fff::1", "4000::1", "fc00::1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not public(address)
    assert not Reach(()).allows("h", address)


@pytest.mark.parametrize(
    ("allowed", "host", "address", "reached"),
    [
        ("10.0.0.0/8", "db", "10.1.2.3", True),
        ("10.0.0.0/8", "db", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "db", "192.168.0.1", False),
        ("fd00::/8", "db", "fd00::5", True),
        ("db.local", "db.local", "10.1.2.3", True),
        ("db.local", "x.db.local", "10.1.2.3", False),
        ("*.internal", "a.b.internal", "10.1.2.3", True),
        ("*.internal", ".internal", "10.1.2.3", False),
        ("*.internal", "internal", "10.1.2.3", False),
        ("*.internal", "xinternal", "10.1.2.3", False),
    ],
)
def test_what_is_allowed(allowed: str, host: str, address: str, reached: bool) -> None:
    assert Reach([allowed]).allows(host, address) is reached


@given(st.ip_addresses(v=4))
def test_wrapping_hides_nothing(address: object) -> None:
    plain = public(str(address))
    for form in ("::ffff:{}", "64:ff9b::{}"):
        assert public(form.format(address)) is plain


def test_what_is_public_does_not_depend_on_the_version_of_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in (IPv4Address, IPv6Address):
        for name in ("is_global", "is_private", "is_reserved", "is_multicast"):
            monkeypatch.delattr(kind, name)
    assert public("8.8.8.8")
    assert public("2606:4700::1")
    assert not public("192.0.0.192")
    assert not public("64:ff9b:1::1")


def test_networks() -> None:
    clients = Networks(["127.0.0.0/8", "::1/128"])
    assert clients.have("127.0.0.1")
    assert clients.have("::1")
    assert not clients.have("10.0.0.1")
    assert not Networks([]).have("127.0.0.1")
