"""Which caller a certificate names."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.client_certificates import (
    LONGEST,
    Allowed,
    Certificates,
    Denied,
    read_certificate,
)

SPIFFE = "spiffe://td/ns/a/sa/b"
ALL: tuple[str, ...] = ("spiffe", "dns", "cn")


def shown(*names: tuple[str, str], cn: str = "") -> dict[str, Any]:
    subject = ((("organizationName", "o"),), (("commonName", cn),)) if cn else ()
    return {"subject": subject, "subjectAltName": names, "notAfter": "Jan  1 00:00:00 2030 GMT"}


def named(peer: dict[str, Any], kinds: tuple[str, ...], *allow: str, now: float = 0.0) -> str:
    certificate = read_certificate(peer)
    assert certificate is not None
    return Certificates(kinds, Allowed(allow or ("*",))).caller(certificate, now)


@pytest.mark.parametrize(
    ("peer", "kinds", "allow", "name"),
    [
        (shown(("DNS", "a"), ("URI", SPIFFE), cn="c"), ALL, (), SPIFFE),
        (shown(("URI", "https://x"), ("DNS", "a"), cn="c"), ALL, (), "a"),
        (shown(("URI", "https://x"), cn="c"), ALL, (), "c"),
        (shown(("URI", SPIFFE), cn="c"), ("cn", "spiffe"), (), "c"),
        (shown(("DNS", " "), cn="c"), ALL, (), "c"),
        (shown(("DNS", "a"), ("DNS", "b")), ALL, ("b",), "b"),
        (shown(("DNS", "x" * (LONGEST + 1)), cn="c"), ALL, (), "c"),
        (shown(("DNS", "d"), cn="a\nb"), ("cn", "dns"), (), "d"),
        (shown(cn="[x]"), ALL, ("[x]",), "[x]"),
        (shown(("URI", SPIFFE)), ALL, ("spiffe://td/ns/a/*",), SPIFFE),
    ],
)
def test_the_first_kind_that_there_is_names(
    peer: dict[str, Any], kinds: tuple[str, ...], allow: tuple[str, ...], name: str
) -> None:
    assert named(peer, kinds, *allow) == name


@pytest.mark.parametrize(
    ("peer", "allow", "now", "reason", "known"),
    [
        (shown(("URI", "https://x")), "*", 0, "nameless", False),
        (shown(("URI", SPIFFE), ("URI", "spiffe://td/other")), "*", 0, "nameless", False),
        (shown(("URI", SPIFFE), ("URI", "https://x")), "*", 0, "nameless", False),
        (shown(cn=" a"), "*", 0, "nameless", False),
        (shown(("DNS", "a"), cn="c"), "c", 0, "not_allowed", True),  # the CN is not its name
        (shown(("DNS", "a")), "b", 0, "not_allowed", True),
        (shown(("DNS", "xa")), "a", 0, "not_allowed", True),
        (shown(("DNS", "a")), "*", 2e9, "expired", False),
    ],
)
def test_others_are_denied(
    peer: dict[str, Any], allow: str, now: float, reason: str, known: bool
) -> None:
    with pytest.raises(Denied) as caught:
        named(peer, ALL, allow, now=now)
    assert (caught.value.reason, caught.value.known) == (reason, known)


def test_no_certificate() -> None:
    assert read_certificate({}) is None
    assert read_certificate(None) is None
