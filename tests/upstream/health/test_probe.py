"""One probe against raw sockets: what comes of each behaviour, and that nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.errors import BadReply, CallError, ConnectFailed, Reset, Truncated
from sidecar.http.message import ResponseHead
from sidecar.upstream.connect.connection import Exchange
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.health.probe import MAX_BODY, Answer, Probe, ProbeFailed
from tests.sockets.peers import CHUNKED_OK, OK, Server, chunk, ok
from tests.upstream.served import answers, endpoint, nothing_runs, refusing, secure

LONG = 5.0
SHORT = 0.1


@asynccontextmanager
async def probing(url: str, idle: int = 0) -> AsyncIterator[Probe]:
    """A probe of *url*, which keeps *idle* connections and counts as no call."""
    probed = endpoint(url)
    probe = Probe(probed)
    try:
        yield probe
        assert probe.open == idle
    finally:
        probe.close()
    assert probe.open == 0
    assert counts(probed) == counts(endpoint(url))
    await nothing_runs()


def counts(of: Endpoint) -> list[object]:
    stats = of.stats
    return [stats.attempts, stats.errors, stats.in_flight, stats.connects, stats.open, stats.idle]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (OK, Answer(200, b"ok")),
        (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad", Answer(500, b"bad")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b"")),
        (CHUNKED_OK + chunk(b"a") + chunk(b"b") + b"0\r\n\r\n", Answer(200, b"ab")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, Answer(200, b"ok")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Answer(200, b"ok")),
        (OK + b"stray", Answer(200, b"ok")),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
async def test_an_answer(reply: bytes, answer: Answer, keep: bool) -> None:
    server = Server()
    stays = keep and reply.startswith(b"HTTP/1.1") and b"stray" not in reply
    async with probing(server.url, idle=stays) as probe:
        asking = asyncio.create_task(probe.get("/health", LONG, keep=keep))
        await answers(server, reply)
        assert await asking == answer
    await server.peers[0].is_cut()
    server.closes()


async def test_what_is_sent() -> None:
    server = Server()
    async with probing(server.url + "/base/") as probe:
        asking = asyncio.create_task(
            probe.get("/v1/models?limit=9", LONG, b"\r\nAuthorization: Bearer x", keep=False)
        )
        head = await answers(server)
        await asking
    assert head == (
        b"GET /base/v1/models?limit=9 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        b"User-Agent: llm-sidecar-probe\r\nAccept: */*\r\nAuthorization: Bearer x\r\n"
        b"Connection: close\r\n\r\n" % server.port
    )
    server.closes()


async def test_the_root_is_asked_for_with_a_slash() -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("", LONG, keep=False))
        assert (await answers(server)).startswith(b"GET / HTTP/1.1\r\n")
        await asking
    server.closes()


@pytest.mark.parametrize("piece", [1, 7])
async def test_an_answer_in_pieces(piece: int) -> None:
    server = Server()
    reply = CHUNKED_OK + chunk(b"some") + chunk(b"more") + b"0\r\n\r\n"
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=False))
        peer = await server.accepts()
        await peer.head()
        for at in range(0, len(reply), piece):
            await peer.sends(reply[at : at + piece])
            await asyncio.sleep(0)
        assert await asking == Answer(200, b"somemore")
    server.closes()


async def test_an_answer_that_ends_with_its_connection() -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        await answers(server, b"HTTP/1.1 200 OK\r\n\r\nall")
        server.peers[0].closes()
        assert await asking == Answer(200, b"all")
    server.closes()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", Reset),
        (b"garbage\r\n\r\n", BadReply),
        (b"HTTP/1.1 200 OK\r\n", Truncated),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Truncated),
        (CHUNKED_OK + chunk(b"a"), Truncated),
        (CHUNKED_OK + b"x\r\n", BadReply),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            BadReply,
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20, BadReply),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
async def test_no_answer(reply: bytes, error: type[CallError], keep: bool) -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=keep))
        await answers(server, reply)
        server.peers[0].closes()
        with pytest.raises(error):
            await asking
    assert len(server.peers) == 1
    server.closes()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED_OK, CHUNKED_OK + b"1\r\na"])
async def test_an_answer_that_takes_too_long(reply: bytes) -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", SHORT, keep=True))
        await answers(server, reply)
        with pytest.raises(ProbeFailed):
            await asking
        await server.peers[0].is_cut()
    server.closes()


async def test_an_endless_answer_takes_too_long() -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", 2 * SHORT, keep=True))
        peer = await server.accepts()
        await peer.head()
        await peer.talks(lambda: b"HTTP/1.1 102 Processing\r\n\r\n", SHORT / 4)
        with pytest.raises(ProbeFailed):
            await asking
    server.closes()


@pytest.mark.parametrize("framed", [True, False])
async def test_a_body_that_is_too_large_is_cut(framed: bool) -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        await answers(server, CHUNKED_OK if framed else b"HTTP/1.1 200 OK\r\n\r\n")
        piece = b"x" * 60000
        await server.peers[0].talks(lambda: chunk(piece) if framed else piece)
        assert await asking == Answer(200, b"x" * MAX_BODY)
    server.closes()


async def test_a_large_body_that_just_fits() -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=False))
        await answers(server, ok(b"y" * MAX_BODY))
        assert await asking == Answer(200, b"y" * MAX_BODY)
    server.closes()


async def test_nobody_listens() -> None:
    async with refusing() as url, probing(url) as probe:
        with pytest.raises(ConnectFailed):
            await probe.get("/", LONG, keep=True)
        with pytest.raises(ConnectFailed):
            await probe.connect(LONG)


async def test_connecting_takes_too_long() -> None:
    server = Server(backlog=0)
    await server.fills()
    async with probing(server.url) as probe:
        with pytest.raises(ProbeFailed):
            await probe.get("/", SHORT, keep=False)
        with pytest.raises(ProbeFailed):
            await probe.connect(SHORT)
    server.closes()


async def test_only_connecting() -> None:
    server = Server()
    async with probing(server.url) as probe:
        await probe.connect(LONG)
    await (await server.accepts()).is_cut()
    server.closes()


# -- connections that are kept --


async def test_a_connection_is_kept() -> None:
    server = Server()
    async with probing(server.url, idle=1) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        assert b"Connection: close" not in await answers(server)
        await asking
        again = asyncio.create_task(probe.get("/", LONG, keep=True))
        peer = server.peers[0]
        await peer.head()
        await peer.sends(ok(b"two"))
        assert await again == Answer(200, b"two")
    await peer.is_cut()
    server.closes()


async def test_a_kept_connection_that_has_died_is_replaced() -> None:
    server = Server()
    async with probing(server.url, idle=1) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        await answers(server)
        await asking
        again = asyncio.create_task(probe.get("/", LONG, keep=True))
        await server.peers[0].head()
        server.peers[0].closes()
        await answers(server, ok(b"two"))
        assert await again == Answer(200, b"two")
    server.closes()


async def test_a_new_connection_beside_a_kept_one() -> None:
    server = Server()
    async with probing(server.url, idle=1) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        await answers(server)
        await asking
        again = asyncio.create_task(probe.get("/", LONG, keep=False))
        await answers(server)
        await again
        await probe.connect(LONG)
    server.closes()


# -- TLS --


async def test_tls() -> None:
    async with secure("localhost") as url, probing(url, idle=1) as probe:
        await probe.connect(LONG)
        assert await probe.get("/", LONG, keep=True) == Answer(200, b"ok")
        assert await probe.get("/", LONG, keep=True) == Answer(200, b"ok")
        assert await probe.get("/", LONG, keep=False) == Answer(200, b"ok")


async def test_a_certificate_for_another_name() -> None:
    async with secure("elsewhere") as url, probing(url) as probe:
        with pytest.raises(ConnectFailed) as caught:
            await probe.connect(LONG)
        assert caught.value.code == "tls_failed"


async def test_a_handshake_that_is_not_answered() -> None:
    server = Server()
    async with probing(server.url.replace("http", "https")) as probe:
        with pytest.raises(ProbeFailed):
            await probe.get("/", SHORT, keep=False)
        with pytest.raises(ProbeFailed):
            await probe.connect(SHORT)
        for peer in [await server.accepts(), await server.accepts()]:
            await peer.is_cut()
    server.closes()


# -- leaving --


@pytest.mark.parametrize("reply", [None, b"", b"HTTP/1.1 200 OK\r\n", CHUNKED_OK])
async def test_leaving(reply: bytes | None) -> None:
    """While connecting (not accepted yet), before and within an answer."""
    server = Server()
    async with probing(server.url) as probe:
        asking = asyncio.create_task(probe.get("/", LONG, keep=True))
        await asyncio.sleep(0)
        if reply is not None:
            await answers(server, reply)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if reply is not None:
            await server.peers[0].is_cut()
    server.closes()


async def test_closing_ends_what_is_under_way() -> None:
    server = Server()
    probe = Probe(endpoint(server.url))
    asking = asyncio.create_task(probe.get("/", LONG, keep=True))
    await (await server.accepts()).head()
    probe.close()
    assert probe.open == 0
    with pytest.raises(asyncio.CancelledError):
        await asking
    await server.peers[0].is_cut()
    server.closes()


async def test_leaving_when_the_answer_is_here_already() -> None:
    server = Server()
    async with probing(server.url, idle=1) as probe:
        asking, exchange = await under_way(probe, server)
        exchange.on_whole_response(ResponseHead(), b"")
        exchange.on_read()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    server.closes()


async def test_an_answer_to_who_has_just_left() -> None:
    server = Server()
    async with probing(server.url) as probe:
        asking, exchange = await under_way(probe, server)
        asking.cancel()
        exchange.on_whole_response(ResponseHead(), b"")
        exchange.on_read()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await server.peers[0].is_cut()
    server.closes()


async def under_way(probe: Probe, server: Server) -> tuple[asyncio.Task[Answer], Exchange]:
    """A probe that has been sent."""
    asking = asyncio.create_task(probe.get("/", LONG, keep=True))
    await (await server.accepts()).head()
    assert probe._exchange is not None
    return asking, probe._exchange
