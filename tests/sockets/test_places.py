"""Where calls arrive, which upstream they go to, and how that is reached."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.sockets.peers import GET, OK, Peer, Reply, Server, ok, post, until
from tests.sockets.stage import Section, Stage, fails
from tests.upstream.names import Names


def chat(model: str, *lines: bytes) -> bytes:
    body = json.dumps({"messages": [], "model": model}).encode()
    lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *lines)
    return b"POST /v1/chat HTTP/1.1\r\nHost: a\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body


def two(first: Section) -> dict[str, Any]:
    """Servers for two upstreams; what *first* matches goes to the first of them."""
    servers = [Server(), Server()]
    return {
        "servers": servers,
        "upstreams": {f"u{n}": {"endpoints": [{"url": s.url}]} for n, s in enumerate(servers)},
        "routes": [{"upstream": "u0", "match": first}, {"upstream": "u1"}],
    }


async def goes_to(stage: Stage, request: bytes) -> int:
    """Which server gets *request*."""
    client = await stage.client()
    await client.sends(request)
    accepting = [stage.begins(server.accepts()) for server in stage.servers]
    done, others = await asyncio.wait(accepting, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    peer = done.pop().result()
    await peer.head()
    await peer.sends(ok(b"", b"Connection: close"))
    assert (await client.reply()).status == 200
    return next(n for n, server in enumerate(stage.servers) if peer in server.peers)


# -- routes --


async def test_by_the_model_in_the_body() -> None:
    async with Stage(**two({"model": "glm-*"})) as stage:
        assert await goes_to(stage, chat("glm-4")) == 0
        assert await goes_to(stage, chat("gpt-5")) == 1
        assert await goes_to(stage, GET) == 1


async def test_json_that_is_not_called_so_has_its_model() -> None:
    async with Stage(**two({"model": "glm-*"})) as stage:
        assert await goes_to(stage, chat("glm-4").replace(b"application/json", b"text/plain")) == 0


async def test_a_body_that_is_no_json_has_no_model() -> None:
    async with Stage(**two({"model": "glm-*"})) as stage:
        assert await goes_to(stage, post(12) + b"model: glm-4") == 1


async def test_by_a_header() -> None:
    async with Stage(**two({"headers": {"X-Tier": "gold*"}})) as stage:
        assert await goes_to(stage, chat("m", b"x-tier: golden")) == 0
        assert await goes_to(stage, chat("m", b"x-tier: silver")) == 1


async def test_by_a_host_with_a_dot_at_its_end() -> None:
    async with Stage(**two({"host": "api.example"})) as stage:
        assert await goes_to(stage, GET.replace(b"Host: a", b"Host: API.example.")) == 0
        assert await goes_to(stage, GET.replace(b"Host: a", b"Host: api.example.:80")) == 0
        assert await goes_to(stage, GET) == 1


async def test_by_host_path_and_method() -> None:
    match = {"host": "api.x.com", "path": "/v1", "method": "GET"}
    async with Stage(**two(match)) as stage:
        assert await goes_to(stage, GET.replace(b"Host: a", b"Host: API.x.com:80")) == 0
        assert await goes_to(stage, GET) == 1


async def test_a_rewritten_path_keeps_its_query() -> None:
    routes = [{"upstream": "u", "match": {"path": "/openai"}, "rewrite": "/"}]
    async with Stage(routes=routes) as stage:
        client = await stage.client()
        await client.sends(b"GET /openai/v1/models?a=/openai HTTP/1.1\r\nHost: a\r\n\r\n")
        server = await stage.accepts()
        assert (await server.head()).startswith(b"GET /v1/models?a=/openai HTTP/1.1\r\n")
        await server.sends(OK)
        await client.reply()


async def test_a_base_path_and_a_captured_host() -> None:
    Names(**{"eu.example": ["127.0.0.1"]})
    server = Server()
    async with Stage(
        servers=[server],
        upstream={"endpoints": [{"url": f"http://{{region}}.example:{server.port}/base"}]},
        routes=[{"upstream": "u", "match": {"path": "/{region}"}, "rewrite": "/"}],
    ) as stage:
        client = await stage.client()
        await client.sends(b"GET /eu/v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
        peer = await stage.accepts()
        head = b"GET /base/v1/x HTTP/1.1\r\nHost: eu.example:%d\r\n" % server.port
        assert (await peer.head()).startswith(head)
        await peer.sends(OK)
        await client.reply()


async def test_no_route_needs_the_body_of_a_request_to_refuse_it() -> None:
    async with Stage(routes=[{"upstream": "u", "match": {"path": "/v1"}}]) as stage:
        client = await stage.client()
        await client.sends(b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply["connection"]) == (404, "close")
        await client.ends()


# -- names --


async def test_each_address_of_a_name_is_an_endpoint() -> None:
    names = Names(glm=["127.0.0.1", "127.0.0.2"])
    one = Server()
    two = Server(host="127.0.0.2", port=one.port)
    dns = {"endpoints": [{"dns": f"http://glm:{one.port}"}], "dns_refresh": "20ms"}
    async with Stage(servers=[one, two], upstream=dns) as stage:
        assert sorted([await goes_to(stage, GET), await goes_to(stage, GET)]) == [0, 1]
        names.answers["glm"] = ["127.0.0.2"]
        await until(lambda: len(stage.endpoints) == 1)
        assert [await goes_to(stage, GET) for _ in range(3)] == [1, 1, 1]


async def test_a_name_that_is_not_known() -> None:
    Names()
    async with Stage(upstream={"endpoints": [{"dns": "http://nowhere:80"}]}) as stage:
        client = await stage.client()
        await client.sends(GET)
        reply = await client.reply()
        assert (reply.status, reply.code) == (503, "no_endpoint")


async def test_a_url_whose_name_is_not_known() -> None:
    Names()
    async with Stage(upstream={"endpoints": [{"url": "http://nowhere:80"}]}) as stage:
        client = await stage.client()
        await client.sends(GET)
        await fails(stage, client, 502, "resolve_failed")


async def test_a_name_that_has_no_address_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its addresses may be other servers' by now: nothing goes there, busy connections end."""
    monkeypatch.setattr("sidecar.upstream.connect.name._CONFIRM", 0.001)
    names = Names(glm=["127.0.0.1"])
    server = Server()
    upstream = {"endpoints": [{"url": f"http://glm:{server.port}"}], "dns_refresh": "20ms"}
    async with Stage(servers=[server], upstream=upstream) as stage:
        client, peer = await stage.call()
        names.answers.clear()
        await until(lambda: not stage.endpoints[0].reachable)
        await peer.sends(OK)
        assert (await client.reply()).body == b"ok"
        await peer.ends()
        await client.sends(GET)
        assert (await client.reply()).code == "resolve_failed"


async def test_a_busy_connection_to_an_address_that_is_gone_ends_with_its_call() -> None:
    names = Names(glm=["127.0.0.1"])
    server = Server()
    upstream = {"endpoints": [{"url": f"http://glm:{server.port}"}], "dns_refresh": "20ms"}
    async with Stage(servers=[server], upstream=upstream) as stage:
        client, peer = await stage.call()
        names.answers["glm"] = ["127.0.0.2"]
        await until(lambda: stage.endpoints[0].resolved.addresses == {"127.0.0.2"})
        await peer.sends(OK)
        assert (await client.reply()).body == b"ok"
        await peer.ends()


@pytest.mark.parametrize("kind", ["url", "dns"])
async def test_a_name_without_an_answer_holds_up_no_call_beside_another(kind: str) -> None:
    names, server = Names(), Server()
    names.gate.clear()
    endpoints = [{"url": server.url}, {kind: "http://silent:80"}]
    async with Stage(servers=[server], upstream={"endpoints": endpoints}) as stage:
        client = await stage.client()
        peer = await stage.answered(client)
        for _ in range(5):
            await stage.answered_again(client, peer)
        assert names.asked == 1
        names.answers["silent"] = ["127.0.0.1"]  # and then it takes its part
        names.gate.set()
        await until(lambda: all(endpoint.reachable for endpoint in stage.endpoints))
        await until(lambda: len(stage.endpoints) == 2)


async def test_a_resolver_that_is_silent_costs_neither_breaker_nor_budget() -> None:
    names = Names()
    names.gate.clear()
    policy = {
        "retry": {"max": 2, "budget": {"ratio": "0%", "min_per_second": 0}},
        "breaker": {"min_calls": 1},
    }
    upstream = {"endpoints": [{"url": "http://silent:80"}]}
    timeouts = {"connect": "50ms"}
    async with Stage(upstream=upstream, policy=policy, timeouts=timeouts) as stage:
        client = await stage.client()
        await client.sends(GET)
        reply = await client.reply()
        assert (reply.status, reply.code) == (503, "resolver_failed")
        assert reply["x-should-retry"] == ""
        assert stage.route.retries == {"resolver_failed": 2}
        assert stage.route.budget_exhausted == 0
        assert not stage.endpoint.transitions
        names.gate.set()


async def test_a_name_server_that_does_not_answer() -> None:
    names = Names()
    names.gate.clear()
    upstream = {"endpoints": [{"url": "http://nowhere:80"}]}
    async with Stage(upstream=upstream, timeouts={"connect": "50ms"}) as stage:
        client = await stage.client()
        await client.sends(GET)
        assert (await client.reply()).code == "resolver_failed"
        names.gate.set()


async def test_an_address_where_nobody_listens_beside_one_that_works() -> None:
    Names(glm=["127.0.0.3", "127.0.0.1"])
    server = Server()
    upstream = {"endpoints": [{"url": f"http://glm:{server.port}"}]}
    async with Stage(servers=[server], upstream=upstream) as stage:
        assert await goes_to(stage, GET) == 0


async def test_idle_connections_to_an_address_that_is_gone_are_closed() -> None:
    names = Names(glm=["127.0.0.1"])
    server = Server()
    upstream = {"endpoints": [{"url": f"http://glm:{server.port}"}], "dns_refresh": "20ms"}
    async with Stage(servers=[server], upstream=upstream) as stage:
        peer = await stage.answered(await stage.client())
        names.answers["glm"] = ["127.0.0.2"]
        await peer.ends()


# -- TLS --

CA = trustme.CA()


class Secure:
    """A server with TLS, which tells what its clients show."""

    def __init__(
        self, *names: str, clients: trustme.CA | None = None, common_name: str | None = None
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._asked
        CA.issue_cert(*names, common_name=common_name).configure_cert(self.context)
        if clients is not None:
            clients.configure_trust(self.context)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.asked_for: list[str | None] = []
        self.subjects: list[Any] = []

    def _asked(self, _: object, name: str | None, __: object) -> None:
        self.asked_for.append(name)

    @asynccontextmanager
    async def serves(self) -> AsyncIterator[int]:
        """Its port."""
        server = await asyncio.start_server(self._answers, "127.0.0.1", 0, ssl=self.context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        self.subjects.append((tls.getpeercert() or {}).get("subject"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"secret", b"Connection: close"))
        writer.close()


async def secure_call(server: Secure, folder: Path, host: str = "localhost", **tls: str) -> Reply:
    """Call *server* as *host*, trusting CA unless *tls* says otherwise."""
    roots = folder / "ca.pem"
    CA.cert_pem.write_to_path(roots)
    Names(**{host: ["127.0.0.1"]})
    async with server.serves() as port:
        upstream = {
            "endpoints": [{"url": f"https://{host}:{port}"}],
            "tls": {"ca": str(roots), **tls},
        }
        async with Stage(upstream=upstream) as stage:
            client = await stage.client()
            await client.sends(GET)
            return await client.reply()


async def test_a_certificate_that_is_good(tmp_path: Path) -> None:
    server = Secure("api.example.com")
    reply = await secure_call(server, tmp_path, "api.example.com")
    assert (reply.status, reply.body) == (200, b"secret")
    assert server.asked_for == ["api.example.com"]


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    reply = await secure_call(Secure("other.example.com"), tmp_path, "api.example.com")
    assert (reply.status, reply.code) == (502, "tls_failed")
    assert b"api.example.com" in reply.body


async def test_a_common_name_is_no_name_of_a_server(tmp_path: Path) -> None:
    reply = await secure_call(Secure(common_name="localhost"), tmp_path)
    assert (reply.status, reply.code) == (502, "tls_failed")


async def test_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    reply = await secure_call(Secure("localhost"), tmp_path, ca=str(other))
    assert (reply.status, reply.code) == (502, "tls_failed")
    assert b"unable to get local issuer" in reply.body


async def test_a_dot_at_the_end_of_a_name_is_not_asked_for(tmp_path: Path) -> None:
    server = Secure("llm.example")
    reply = await secure_call(server, tmp_path, "llm.example.")
    assert (reply.status, server.asked_for) == (200, ["llm.example"])
    reply = await secure_call(server, tmp_path, "llm.example.", server_name="llm.example.")
    assert (reply.status, server.asked_for) == (200, ["llm.example"] * 2)


async def test_another_name_is_asked_for(tmp_path: Path) -> None:
    server = Secure("inner.example.com")
    reply = await secure_call(server, tmp_path, server_name="inner.example.com")
    assert reply.status == 200
    assert server.asked_for == ["inner.example.com"]


async def test_a_certificate_of_ours(tmp_path: Path) -> None:
    clients = trustme.CA()
    ours = clients.issue_cert("sidecar", common_name="sidecar")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    server = Secure("localhost", clients=clients)
    reply = await secure_call(server, tmp_path, cert=str(tmp_path / "ours.pem"))
    assert reply.status == 200
    assert "sidecar" in str(server.subjects)


async def test_a_certificate_of_ours_that_is_missing(tmp_path: Path) -> None:
    reply = await secure_call(Secure("localhost", clients=trustme.CA()), tmp_path)
    assert reply.status == 502
    assert reply.code in {"tls_failed", "upstream_reset"}  # TLS 1.3 tells us after the handshake


async def test_a_server_without_tls(tmp_path: Path) -> None:
    server = Server()
    async with Stage(
        servers=[server], upstream={"endpoints": [{"url": f"https://127.0.0.1:{server.port}"}]}
    ) as stage:
        client = await stage.client()
        await client.sends(GET)
        peer = await stage.accepts()
        await peer.sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert (await client.reply()).code == "tls_failed"


async def test_a_server_that_does_not_finish_the_handshake() -> None:
    server = Server()
    upstream = {"endpoints": [{"url": f"https://127.0.0.1:{server.port}"}]}
    async with Stage(servers=[server], upstream=upstream, timeouts={"connect": "50ms"}) as stage:
        client = await stage.client()
        await client.sends(GET)
        peer = await stage.accepts()
        assert (await client.reply()).code == "connect_timeout"
        await peer.is_cut()


# -- listeners --


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with Stage(listeners=[{"path": path}]) as stage:
        client = await stage.connects(path, socket.AF_UNIX)
        await stage.answered(client)
        await client.sends(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.reply()).status == 400
        await client.ends()
    assert os.listdir(tmp_path) == []


async def test_a_unix_socket_that_was_left_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    async with Stage(listeners=[{"path": path}]) as stage:
        await stage.answered(await stage.connects(path, socket.AF_UNIX))


async def test_a_unix_socket_that_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with Stage(listeners=[{"path": path}]) as stage:
        with pytest.raises(OSError, match="cannot listen on unix:"):
            await Stage(listeners=[{"path": path}]).__aenter__()
        await stage.answered(await stage.connects(path, socket.AF_UNIX))


async def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with Stage(listeners=[{"address": "[::1]:0"}]) as stage:
        client = await stage.connects(("::1", stage.listener().port), socket.AF_INET6)
        await stage.answered(client)


async def test_two_listeners() -> None:
    async with Stage(listeners=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}]) as stage:
        for index, host in enumerate(("127.0.0.1", "127.0.0.2")):
            client = await stage.connects((host, stage.listener(index).port))
            assert isinstance(client, Peer)
            await client.sends(b"GET / HTTP/1.1\r\n\r\n")
            assert (await client.reply()).status == 400
