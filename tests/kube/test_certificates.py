from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from sidecar.ca.in_memory import load_pem
from sidecar.kube.certificates import Certificate, authorities, due, expiry, make

NAMES = ("injector.ns.svc", "injector.ns.svc.cluster.local")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
FIRST = make(NAMES, NOW)


def handshake(served: Certificate, bundle: bytes, name: str = NAMES[0]) -> None:
    """A TLS client that trusts *bundle* only, against a server with *served*."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_pem(server_side, served.pem)
    client_side = ssl.create_default_context(cadata=bundle.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == server.version() == "TLSv1.3"


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_knows_the_bundle_trusts_it(name: str) -> None:
    handshake(FIRST, FIRST.bundle, name)


def test_nobody_else_is_trusted() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(FIRST, FIRST.bundle, "other.ns.svc")
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(FIRST, make(NAMES, NOW).bundle)


def test_around_a_renewal_both_are_trusted() -> None:
    second = make(NAMES, NOW + 60 * DAY, before=FIRST)
    handshake(FIRST, second.bundle)
    assert authorities(second.bundle)[1] == authorities(FIRST.bundle)[0]
    third = make(NAMES, NOW + 120 * DAY, before=second)
    assert authorities(third.bundle)[1:] == authorities(second.bundle)[:1], "the oldest has gone"


def test_when_it_is_due() -> None:
    assert not due(FIRST, NAMES, NOW)
    assert not due(FIRST, NAMES, NOW + 59 * DAY)
    assert due(FIRST, NAMES, NOW + 61 * DAY)
    assert due(FIRST, NAMES[:1], NOW)
    assert due(Certificate(chain=b"no", key=b"", bundle=b""), NAMES, NOW)


def test_its_end() -> None:
    assert expiry(FIRST.chain) == NOW + 90 * DAY
    with pytest.raises(ValueError, match="PEM"):
        expiry(b"")
