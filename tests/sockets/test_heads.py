"""The heads that the other side sees, byte for byte."""

import json

import pytest

from tests.sockets.peers import OK, masked
from tests.sockets.stage import Stage

OURS = b"\r\nx-request-id: ID\r\nx-trace-id: ID"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def get(*lines: bytes) -> bytes:
    return b"\r\n".join((b"GET /v1/models?a=%20b HTTP/1.1", b"Host: a", *lines, b"", b""))


async def forwarded(request: bytes, **sections: object) -> bytes:
    """The head that the server gets for *request*, with `HOST` for its own name."""
    async with Stage(**sections) as stage:  # type: ignore[arg-type]
        client, server = await stage.client(), None
        await client.sends(request)
        server = await stage.accepts()
        head = await server.head()
        await server.sends(OK)
        await client.reply()
        return masked(head.replace(stage.server.url[7:].encode(), b"HOST"))


async def returned(reply: bytes) -> bytes:
    """The head that the caller gets for *reply*."""
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(reply)
        return masked(await client.head())


async def test_a_plain_request() -> None:
    assert await forwarded(get()) == (
        b"GET /v1/models?a=%20b HTTP/1.1\r\nHost: HOST"
        + OURS
        + b"\r\ntraceparent: 00-ID-SPAN-02\r\n\r\n"
    )


async def test_a_plain_reply() -> None:
    assert await returned(OK) == (b"HTTP/1.1 200 OK\r\nContent-Length: 2" + OURS + b"\r\n\r\n")


async def test_order_spelling_and_repeats_are_kept() -> None:
    lines = (b"X-b: 2", b"x-A: 1", b"X-B: 3", b"Accept-Encoding: gzip,  br", b"X-Empty: ")
    head = await forwarded(get(*lines))
    assert b"\r\nHost: HOST\r\n" + b"\r\n".join(lines) + OURS in head


async def test_order_spelling_and_repeats_of_a_reply_are_kept() -> None:
    lines = b"SET-cookie: a=1\r\nContent-Length: 0\r\nServer: x\r\nset-Cookie: b=2\r\nVia: 1.1 y"
    head = await returned(b"HTTP/1.1 429 Calm  down\r\n" + lines + b"\r\n\r\n")
    assert head == b"HTTP/1.1 429 Calm  down\r\n" + lines + OURS + b"\r\n\r\n"


async def test_bytes_beyond_ascii_are_kept() -> None:
    assert b"\r\nX-Name: caf\xc3\xa9 \xe9\r\n" in await forwarded(get(b"X-Name: caf\xc3\xa9 \xe9"))


async def test_a_reply_without_a_reason() -> None:
    assert (await returned(b"HTTP/1.1 204 \r\n\r\n")).startswith(b"HTTP/1.1 204 \r\n")


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: close",),
        (b"Connection: keep-alive", b"Keep-Alive: timeout=5"),
        (b"Proxy-Connection: keep-alive",),
        (b"Connection: X-Mine, close", b"X-Mine: 1"),
        (b"Connection: x-one", b"X-One: 1", b"Connection: X-TWO", b"x-two: 2"),
        (b"Upgrade: h2c", b"Connection: upgrade, http2-settings", b"HTTP2-Settings: AAM"),
        (b"TE: gzip", b"Connection: TE"),
    ],
)
async def test_what_belongs_to_one_connection_goes_no_further(lines: tuple[bytes, ...]) -> None:
    assert await forwarded(get(*lines)) == await forwarded(get())


async def test_what_belongs_to_the_servers_connection_goes_no_further() -> None:
    lines = b"Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2\r\n"
    assert await returned(OK.replace(b"Content", lines + b"Content")) == await returned(OK)


async def test_connection_cannot_take_framing_away() -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 0\r\n\r\n"
    )
    assert b"\r\nContent-Length: 0\r\n" in await forwarded(request)


async def test_trailers_are_still_asked_for() -> None:
    head = await forwarded(get(b"TE: trailers", b"Connection: TE"))
    assert b"\r\nConnection: TE\r\nTE: trailers\r\n" in head


async def test_an_absolute_target_names_the_host() -> None:
    routes = [{"upstream": "u", "match": {"host": "api.example.com"}}]
    request = b"GET http://API.example.com/v1/models?x=1 HTTP/1.1\r\nHost: other\r\n\r\n"
    head = await forwarded(request, routes=routes)
    assert head.startswith(b"GET /v1/models?x=1 HTTP/1.1\r\nHost: HOST\r\n")


async def test_options_of_everything() -> None:
    head = await forwarded(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.startswith(b"OPTIONS * HTTP/1.1\r\n")


async def test_a_credential_replaces_the_callers() -> None:
    credentials = {"header": "Authorization", "value": "Bearer real"}
    head = await forwarded(
        get(b"authorization: Bearer local"), upstream={"credentials": credentials}
    )
    assert b"local" not in head
    assert b"\r\nAuthorization: Bearer real\r\n" in head


# -- trace --


async def test_a_trace_is_begun() -> None:
    async with Stage() as stage:
        client, server = await stage.client(), None
        await client.sends(get())
        server = await stage.accepts()
        head = await server.head()
        await server.sends(OK)
        reply = await client.reply()
        trace_id = reply["x-trace-id"]
        assert reply["x-request-id"] == trace_id
        assert b"\r\ntraceparent: 00-%b-" % trace_id.encode() in head
        assert b"\r\nx-request-id: %b\r\nx-trace-id: %b\r\n" % ((trace_id.encode(),) * 2) in head


@pytest.mark.parametrize(
    ("named", "parent", "trace"),
    [
        (b"4bf92f3577b34da6a3ce929d0e0e4736", None, b"4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"4bf92f3577b34da6a3ce929d0e0e4736", PARENT, b"0af7651916cd43dd8448eb211c80319c"),
        (b"order-17", None, None),
        (b"4BF92F3577B34DA6A3CE929D0E0E4736", None, None),
        (bytes(b"0" * 32), None, None),
    ],
)
async def test_a_trace_id_of_the_callers_stays(
    named: bytes, parent: bytes | None, trace: bytes | None
) -> None:
    """It names the trace where it can and no traceparent does."""
    async with Stage() as stage:
        client = await stage.client()
        lines = [b"X-Trace-ID: " + named] + ([b"traceparent: " + parent] if parent else [])
        await client.sends(get(*lines))
        server = await stage.accepts()
        head = await server.head()
        await server.sends(OK)
        ours = (await client.reply())["x-trace-id"].encode()
        assert head.lower().count(b"x-trace-id") == 1
        assert b"\r\nX-Trace-ID: %b\r\n" % named in head
        assert b"\r\ntraceparent: 00-%b-" % ours in head
        assert ours == trace or (trace is None and ours != named)


async def test_a_trace_is_continued() -> None:
    async with Stage() as stage:
        client, server = await stage.client(), None
        await client.sends(get(b"Traceparent: " + PARENT, b"TraceState: a=1", b"tracestate: b=2"))
        server = await stage.accepts()
        head = await server.head()
        await server.sends(OK)
        assert (await client.reply())["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
        assert head.count(b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-") == 1
        assert b"b7ad6b7169203331" not in head  # the span is the attempt's own
        assert head.lower().count(b"tracestate: ") == 1
        assert b"\r\ntracestate: a=1,b=2\r\n" in head.replace(b", ", b",")


@pytest.mark.parametrize("parent", [b"00-0-0-01", PARENT[:-1], PARENT.replace(b"0af", b"0AF")])
async def test_a_bad_trace_is_begun_anew(parent: bytes) -> None:
    head = await forwarded(get(b"traceparent: " + parent, b"tracestate: a=1"))
    assert b"0af7" not in head.lower()
    assert b"tracestate" not in head


async def test_a_request_id_goes_both_ways() -> None:
    async with Stage() as stage:
        client, server = await stage.client(), None
        await client.sends(get(b"X-Request-Id: mine-1"))
        server = await stage.accepts()
        assert (await server.head()).lower().count(b"x-request-id: mine-1") == 1
        await server.sends(OK)
        assert (await client.reply())["x-request-id"] == "mine-1"


async def test_an_upstreams_request_id_is_kept() -> None:
    head = await returned(OK.replace(b"Content", b"X-Request-ID: req_1\r\nContent"))
    assert head.lower().count(b"x-request-id") == 1
    assert b"X-Request-ID: req_1" in head


@pytest.mark.parametrize("bad", [b"x" * 129, b"\xe9"])
async def test_an_unusable_request_id_is_replaced(bad: bytes) -> None:
    assert b"\r\nx-request-id: ID\r\n" in await forwarded(get(b"x-request-id: " + bad))


async def test_errors_of_ours_carry_the_ids() -> None:
    async with Stage(routes=[{"upstream": "u", "match": {"path": "/v1"}}]) as stage:
        client = await stage.client()
        await client.sends(
            b"GET /v2 HTTP/1.1\r\nHost: a\r\nx-request-id: mine\r\ntraceparent: %b\r\n\r\n" % PARENT
        )
        reply = await client.reply()
        assert (reply.status, reply.code, reply["x-request-id"]) == (404, "no_route", "mine")
        assert reply["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
        assert json.loads(reply.body)["error"]["code"] == "no_route"
