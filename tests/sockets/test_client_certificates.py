"""An endpoint that does not take our client certificate, and says so with a TLS alert."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.sockets.peers import GET
from tests.sockets.stage import Stage

CA, OTHER = trustme.CA(), trustme.CA()
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
SHOWN = {
    "of another CA": lambda: OTHER.issue_cert("sidecar"),
    "expired": lambda: CA.issue_cert(
        "sidecar", not_before=PAST - datetime.timedelta(1), not_after=PAST
    ),
}


class Strict:
    """A server that wants a certificate of CA. asyncio's would close without its alert."""

    def __init__(self, version: ssl.TLSVersion) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert("localhost").configure_cert(self.context)
        CA.configure_trust(self.context)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.minimum_version = self.context.maximum_version = version
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self.sock.getsockname()[1]}"
        self.accepted = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            peer, _ = self.sock.accept()
            if not peer.recv(1, socket.MSG_PEEK):  # `close` says that it is over
                peer.close()
                return
            self.accepted += 1
            try:
                self.context.wrap_socket(peer, server_side=True).close()
            except ssl.SSLError:
                peer.close()

    def close(self) -> None:
        with socket.create_connection(self.sock.getsockname()):
            pass
        self.thread.join()
        self.sock.close()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def strict(request: pytest.FixtureRequest) -> Iterator[Strict]:
    server = Strict(request.param)
    yield server
    server.close()


def stage(strict: Strict, folder: Path, **tls: str) -> Stage:
    CA.cert_pem.write_to_path(folder / "ca.pem")
    policy = {
        "breaker": {"min_calls": 1},
        "retry": {"max": 1, "budget": {"ratio": "0%", "min_per_second": 0}},
    }
    upstream = {
        "endpoints": [{"url": strict.url}],
        "tls": {"ca": str(folder / "ca.pem"), **tls},
    }
    return Stage(upstream=upstream, policy=policy)


async def is_told(s: Stage, code: str) -> bytes:
    client = await s.client()
    await client.sends(GET)
    reply = await client.reply()
    assert (reply.status, reply.code) == (502, code)
    return reply.body


@pytest.mark.parametrize("shown", SHOWN)
async def test_a_certificate_that_is_refused_is_our_own_fault(
    strict: Strict, tmp_path: Path, shown: str
) -> None:
    SHOWN[shown]().private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    async with stage(strict, tmp_path, cert=str(tmp_path / "ours.pem")) as s:
        body = await is_told(s, "client_certificate_refused")
        assert b"refused our client certificate: " in body
        assert (b"UNKNOWN_CA" if shown == "of another CA" else b"CERTIFICATE_EXPIRED") in body
        assert not s.endpoint.transitions  # no breaker
        assert s.route.budget_exhausted == 0
        assert strict.accepted == 2  # another endpoint might have taken it


async def test_a_certificate_that_is_missing(tmp_path: Path) -> None:
    strict = Strict(ssl.TLSVersion.TLSv1_3)
    async with stage(strict, tmp_path) as s:
        body = await is_told(s, "client_certificate_refused")
        assert b"CERTIFICATE_REQUIRED" in body
    strict.close()
