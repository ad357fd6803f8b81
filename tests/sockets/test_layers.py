"""What a layer can do: answer by itself, rewrite, observe and transform, share one reply."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.sockets.layers import (
    Answers,
    LayerStage,
    Observes,
    Rewrites,
    Seen,
    Shares,
    Shouts,
    Transforms,
)
from tests.sockets.peers import (
    CHUNKED,
    CHUNKED_OK,
    EVENTS,
    GET,
    POST,
    chunk,
    ok,
    until,
)

JSON = b"\r\nContent-Type: application/json"
END = b"0\r\n\r\n"


# -- answers by itself --


@pytest.mark.parametrize("request_", [GET, POST])
async def test_a_layer_answers_by_itself(request_: bytes) -> None:
    async with LayerStage(lambda _: Answers(200, JSON, b'{"ok":true}')) as stage:
        client = await stage.client()
        for _ in range(2):  # and the connection serves the next call
            await client.sends(request_)
            reply = await client.reply()
            assert (reply.status, reply["content-type"]) == (200, "application/json")
            assert (reply.body, reply["content-length"]) == (b'{"ok":true}', "11")
            assert len(reply["x-request-id"]) == 32
        assert not stage.endpoint.attempts
        assert stage.route.statuses == {200: 2}


async def test_to_a_head_it_answers_without_a_body() -> None:
    async with LayerStage(lambda _: Answers(200, JSON, b"12345")) as stage:
        client = await stage.client()
        await client.sends(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = await client.reply("HEAD")
        assert (reply["content-length"], reply.body) == ("5", b"")


# -- rewrites --


async def test_a_layer_rewrites_body_and_head() -> None:
    edits = {b"user-agent": b"\r\nUser-Agent: other", b"x-gone": b"", b"x-new": b"\r\nX-New: 1"}
    rewritten = {
        "target": b"/v2/other?a=b",
        "edits": edits,
        "content": b'{"model":"m"}',
        "method": b"PUT",
    }
    async with LayerStage(lambda inner: Rewrites(inner, **rewritten)) as stage:
        client, server = await stage.client(), stage.server
        body = gzip.compress(b'{"model":"x"}')
        lines = b"User-Agent: a\r\nX-Gone: 1\r\nX-Kept: 2\r\nContent-Encoding: gzip\r\n"
        await client.sends(
            b"POST /v1/chat HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b"
            % (lines, len(body), body)
        )
        peer = await server.accepts()
        head = await peer.head()
        assert head.startswith(b"PUT /v2/other?a=b HTTP/1.1\r\n")
        assert b"\r\nUser-Agent: other\r\n" in head
        assert b"\r\nX-New: 1\r\n" in head
        assert b"\r\nX-Kept: 2\r\n" in head
        assert b"\r\nContent-Length: 13\r\n" in head
        assert head.lower().count(b"user-agent") == 1
        assert b"x-gone" not in head.lower()
        assert b"content-encoding" not in head.lower()
        await peer.gets(b'{"model":"m"}')
        await peer.sends(ok(b"fine"))
        assert (await client.reply()).body == b"fine"


async def test_a_chunked_body_that_is_replaced_has_a_length() -> None:
    async with LayerStage(lambda inner: Rewrites(inner, content=b"new")) as stage:
        client = await stage.client()
        await client.sends(CHUNKED + chunk(b"old one") + b"0\r\nX-Trailer: 1\r\n\r\n")
        peer = await stage.accepts()
        head = await peer.head()
        assert b"Content-Length: 3\r\n" in head
        assert b"transfer-encoding" not in head.lower()
        await peer.gets(b"new")
        await peer.sends(ok(b""))
        assert (await client.reply()).status == 200


async def test_no_trailer_says_what_an_edit_says() -> None:
    edits = {b"x-tenant": b"\r\nX-Tenant: ours"}
    async with LayerStage(lambda inner: Rewrites(inner, edits=edits)) as stage:
        client = await stage.client()
        await client.sends(CHUNKED + chunk(b"a") + b"0\r\nX-Tenant: theirs\r\nX-Sum: 1\r\n\r\n")
        peer = await stage.accepts()
        sent = await peer.until(b"X-Sum: 1\r\n\r\n")
        assert b"theirs" not in sent
        await peer.sends(ok(b""))
        assert (await client.reply()).status == 200


# -- observes --


def replies(body: bytes) -> dict[str, bytes]:
    """The same body in every framing."""
    chunks = b"".join(chunk(body[at : at + 7]) for at in range(0, len(body), 7))
    return {
        "length": ok(body),
        "chunks": CHUNKED_OK + chunks + END,
        "until close": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }


TEXT = b"the quick brown fox jumps over the lazy dog"


@pytest.mark.parametrize("framing", replies(b""))
@pytest.mark.parametrize("step", [1, 3, 50, 1000])
async def test_a_tap_sees_data_and_never_framing(framing: str, step: int) -> None:
    seen = Seen()
    async with LayerStage(lambda inner: Observes(inner, seen)) as stage:
        client, server = await stage.call()
        data = replies(TEXT)[framing]
        for at in range(0, len(data), step):
            await server.sends(data[at : at + step])
        server.closes()
        assert (await client.reply()).body == TEXT
        assert b"".join(seen.pieces) == TEXT
        assert seen.ends == ["complete"]


async def test_a_tap_sees_the_chunks_that_take_the_short_way() -> None:
    seen = Seen()
    async with LayerStage(lambda inner: Observes(inner, seen)) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await client.until(b"data: 0\n\n\r\n")
        for count in range(1, 20):
            await server.sends(chunk(b"data: %d\n\n" % count))
            await client.until(b"data: %d\n\n\r\n" % count)
        assert seen.pieces == [b"data: %d\n\n" % n for n in range(20)]
        await server.sends(END)
        await client.until(END)
        assert seen.ends == ["complete"]


async def test_a_tap_is_told_how_a_reply_broke() -> None:
    seen = Seen()
    async with LayerStage(lambda inner: Observes(inner, seen)) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await client.until(b"data: 0")
        server.closes()
        await client.is_cut()
        assert (seen.pieces, seen.ends) == ([b"data: 0\n\n"], ["upstream_truncated"])


async def test_a_tap_is_told_that_the_caller_left() -> None:
    seen = Seen()
    async with LayerStage(lambda inner: Observes(inner, seen)) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await client.until(b"data: 0")
        client.closes()
        await server.is_cut()
        assert seen.ends == ["caller_left"]


# -- transforms --


@pytest.mark.parametrize("framing", replies(b""))
@pytest.mark.parametrize("step", [1, 3, 50, 1000])
async def test_a_transform_changes_the_body_split_anywhere(framing: str, step: int) -> None:
    async with LayerStage(lambda inner: Transforms(inner, Shouts)) as stage:
        client, server = await stage.call()
        data = replies(TEXT)[framing]
        for at in range(0, len(data), step):
            await server.sends(data[at : at + step])
        server.closes()
        assert (await client.reply()).body == TEXT.upper() + b"!"


async def test_a_transformed_stream_goes_on_chunk_for_chunk() -> None:
    async with LayerStage(lambda inner: Transforms(inner, Shouts)) as stage:
        client, server = await stage.call()
        await server.sends(CHUNKED_OK + chunk(b"one "))
        await client.until(chunk(b"ONE "))
        await server.sends(chunk(b"two three "))
        await client.gets(chunk(b"TWO THREE "))
        await server.sends(chunk(b"fo"))  # nothing can be said yet
        await server.sends(chunk(b"ur "))
        await client.gets(chunk(b"FOUR "))
        await server.sends(END)
        await client.gets(chunk(b"!") + END)


async def test_what_has_no_body_or_a_coding_is_not_transformed() -> None:
    async with LayerStage(lambda inner: Transforms(inner, Shouts)) as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await client.reply()).body == b""
        await client.sends(GET)
        await server.head()
        await server.sends(ok(b"zipped", b"Content-Encoding: gzip"))
        assert (await client.reply()).body == b"zipped"


async def test_a_transformed_reply_that_breaks_looks_broken() -> None:
    async with LayerStage(lambda inner: Transforms(inner, Shouts)) as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\none two ")
        await client.until(chunk(b"ONE TWO "))
        server.closes()
        assert END not in await client.rest()


# -- shares --


def shared() -> tuple[LayerStage, list[Shares]]:
    made: list[Shares] = []

    def share(inner: object) -> Shares:
        made.append(Shares(inner))  # type: ignore[arg-type]
        return made[-1]

    return LayerStage(share), made


async def test_two_callers_share_a_reply_and_one_leaves() -> None:
    stage, _ = shared()
    async with stage:
        one, two = await stage.client(), await stage.client()
        await one.sends(GET)
        server = await stage.accepts()
        await server.head()
        await two.sends(GET)
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        for client in (one, two):
            await client.until(b"data: 0\n\n")
        one.closes()
        await until(lambda: stage.route.errors == {"caller_left": 1})
        await server.sends(chunk(b"data: 1\n\n") + END)
        assert b"data: 1\n\n" in await two.until(END)
        assert sum(stage.endpoint.attempts.values()) == 1


async def test_who_joins_late_gets_it_from_the_start() -> None:
    stage, _ = shared()
    async with stage:
        one, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await one.until(b"data: 0\n\n")
        late = await stage.client()
        await late.sends(GET)
        await late.until(b"data: 0\n\n")
        await server.sends(END)
        for client in (one, late):
            await client.until(END)


async def test_when_the_last_has_left_the_upstream_is_let_go() -> None:
    stage, _ = shared()
    async with stage:
        one, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await one.until(b"data: 0\n\n")
        one.closes()
        await server.is_cut()


async def test_a_reply_that_breaks_breaks_for_all() -> None:
    stage, _ = shared()
    async with stage:
        one, two = await stage.client(), await stage.client()
        await one.sends(GET)
        server = await stage.accepts()
        await server.head()
        await two.sends(GET)
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        for client in (one, two):
            await client.until(b"data: 0\n\n\r\n")
        server.closes()
        for client in (one, two):
            event = await client.until(b"}\n\n\r\n")
            assert json.loads(event.split(b"data: ")[1])["error"]["code"] == "upstream_truncated"
            await client.is_cut()
