"""What reaches the server and what comes back: bodies of any size, headers, W3C trace context."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from lockstep import completion
from peers import Play, Sidecar
from scripted import Exchange
from sdk import ask, sync_openai

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
KIB, MIB = 2**10, 2**20


def _answer(exchange: Exchange) -> None:
    exchange.json(200, completion("ok"))


def _get(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(str(parts.netloc), timeout=20)) as connection:
        connection.request("GET", parts.path, headers=headers)
        reply = connection.getresponse()
        reply.read()
    return reply


@pytest.mark.parametrize("mib", [1, 7, 12])
def test_large_prompt_arrives_whole(play: Play, mib: int) -> None:
    def script(exchange: Exchange) -> None:
        exchange.json(200, completion(hashlib.sha256(exchange.body).hexdigest()))

    scene = play(script)
    text = "".join(chr(33 + n * n % 89) for n in range(4096)) * (mib * 256)
    with sync_openai(scene.url) as client:
        reply = client.chat.completions.create(model="m", messages=ask(text))
    assert json.loads(scene.only.body)["messages"][0]["content"] == text
    assert reply.choices[0].message.content == hashlib.sha256(scene.only.body).hexdigest()


def _upload(url: str, total: int) -> socket.socket:
    """A connection on which a request with a body of *total* bytes has begun."""
    parts = urlsplit(url)
    caller = socket.create_connection((str(parts.hostname), parts.port or 80), timeout=20)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {total}\r\n\r\n"
    caller.sendall(head.encode())
    return caller


def test_refusal_arrives_while_the_body_is_on_its_way(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.json(413, {"error": {"message": "too much"}})
        exchange.await_close()

    scene = play(script, early=True)
    with _upload(scene.url, 64 * MIB) as caller:
        caller.sendall(bytes(12 * MIB))
        assert caller.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert scene.only.closed.wait(10)


def test_caller_that_leaves_mid_upload_frees_the_server(play: Play) -> None:
    scene = play(Exchange.await_close, early=True)
    with _upload(scene.url, 64 * MIB) as caller:
        caller.sendall(bytes(12 * MIB))
    assert scene.only.closed.wait(10)


def test_large_reply_arrives_whole(play: Play) -> None:
    text = "tokens and more tokens " * 500_000
    scene = play(lambda exchange: exchange.json(200, completion(text)))
    with sync_openai(scene.url) as client:
        reply = client.chat.completions.create(model="m", messages=ask("x"))
    assert reply.choices[0].message.content == text


def test_slow_caller_leaves_no_trouble_to_the_next(play: Play) -> None:
    """Whatever part of a reply waits for its caller, the upstream connection serves others."""

    def script(exchange: Exchange) -> None:
        size = int(exchange.target.rpartition("/")[2]) * KIB
        exchange.head(200, length=size)
        exchange.chunk(bytes(size))
        exchange.end()

    url = play(script).url
    for size in range(64, 8192, 64):  # Some of them end in the moment that buffers are full.
        parts = urlsplit(f"{url}/{size}")
        with socket.create_connection((str(parts.hostname), parts.port or 80), 20) as slow:
            slow.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            assert slow.recv(1) == b"H"
            time.sleep(0.01)
            assert _get(f"{url}/1", {}).status == 200


def test_servers_headers_keep_order_spelling_and_repeats(play: Play) -> None:
    sent = [
        ("X-Served-By", "a"),
        ("set-cookie", "one=1"),
        ("OpenAI-Processing-Ms", "12"),
        ("Set-Cookie", "two=2"),
        ("x-ratelimit-Reset", "1s"),
        ("server", "mine/1"),
    ]
    names = {name.lower() for name, _ in sent}
    scene = play(lambda exchange: exchange.json(200, {}, sent))
    reply = _get(scene.url, {})
    assert [(name, value) for name, value in reply.getheaders() if name.lower() in names] == sent


def test_sdks_own_headers_arrive(play: Play) -> None:
    scene = play(_answer)
    with sync_openai(scene.url, default_headers={"X-Team": "Blue"}) as client:
        client.chat.completions.create(model="m", messages=ask("x"))
    exchange = scene.only
    assert exchange.header("authorization") == "Bearer test-key"
    assert exchange.header("x-stainless-retry-count") == "0"
    assert exchange.header("user-agent") is not None
    assert exchange.header("x-team") == "Blue"
    assert exchange.target == f"{scene.played.path}/chat/completions"


def test_trace_is_continued(sidecar: Sidecar, play: Play) -> None:
    scene = play(_answer)
    reply = _get(
        scene.url,
        {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1,b=2", "x-request-id": "r-1"},
    )
    version, trace, span, flags = (scene.only.header("traceparent") or "").split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch("[0-9a-f]{16}", span)
    assert span not in (PARENT, "0" * 16)
    assert scene.only.header("tracestate") == "a=1,b=2"
    assert scene.only.header("x-request-id") == reply.headers["x-request-id"] == "r-1"
    assert reply.headers["x-trace-id"] == TRACE


@pytest.mark.parametrize(
    "given",
    [None, "", f"00-{TRACE}-{PARENT}", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"],
)
def test_trace_is_begun_when_there_is_no_valid_one(
    sidecar: Sidecar, play: Play, given: str | None
) -> None:
    scene = play(_answer)
    headers = (
        {"tracestate": "a=1"} if given is None else {"traceparent": given, "tracestate": "a=1"}
    )
    reply = _get(scene.url, headers)
    sent = scene.only.header("traceparent") or ""
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]", sent)
    assert TRACE not in sent
    assert scene.only.header("tracestate") is None
    assert reply.headers["x-trace-id"] == sent.split("-")[1]
    assert scene.only.header("x-request-id") == reply.headers["x-request-id"]


def test_each_call_has_a_trace_and_request_id_of_its_own(sidecar: Sidecar, play: Play) -> None:
    scene = play(_answer)
    with sync_openai(scene.url) as client:
        for _ in range(10):
            client.chat.completions.create(model="m", messages=ask("x"))
    for name in ("traceparent", "x-request-id"):
        assert len({exchange.header(name) for exchange in scene.exchanges}) == 10
