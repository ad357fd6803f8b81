"""A forward proxy is not an open one: who may use it, and for what."""

from __future__ import annotations

import pytest

from tests.sockets.proxying import asks, decisions, proxy, tunnel
from tests.sockets.stage import Stage


async def refused(stage: Stage, line: str, status: int, code: str) -> None:
    client = await asks(stage, line)
    reply = await client.reply()
    assert (reply.status, reply.code) == (status, code)
    await client.ends()
    client.closes()
    await stage.is_empty()


@pytest.mark.parametrize(
    "target",
    ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "[::ffff:127.0.0.1]:{}", "169.254.169.254:80"],
)
@pytest.mark.parametrize("form", ["CONNECT {} HTTP/1.1", "GET http://{}/ HTTP/1.1"])
async def test_what_is_not_public_is_not_reached(target: str, form: str) -> None:
    async with proxy(intercept={"allow": []}) as stage:
        line = form.format(target.format(stage.server.port))
        await refused(stage, line, 403, "forbidden_target")


async def test_what_is_allowed_is() -> None:
    async with proxy(intercept={"allow": ["localhost"]}) as stage:
        await refused(
            stage, f"CONNECT 127.0.0.1:{stage.server.port} HTTP/1.1", 403, "forbidden_target"
        )
        await tunnel(stage)


async def test_an_allowed_network_is() -> None:
    async with proxy(intercept={"allow": ["127.0.0.0/8"]}) as stage:
        client, server = await tunnel(stage, "127.0.0.1")
        await client.sends(b"\x00")
        await server.gets(b"\x00")


async def test_who_is_no_client_may_not() -> None:
    async with proxy(intercept={"clients": ["10.0.0.0/8"]}) as stage:
        for line in (
            f"CONNECT localhost:{stage.server.port} HTTP/1.1",
            f"GET http://localhost:{stage.server.port}/ HTTP/1.1",
            "GET /v1/models HTTP/1.1",
        ):
            await refused(stage, line, 403, "forbidden_client")


@pytest.mark.parametrize("form", ["CONNECT {}:{} HTTP/1.1", "GET http://{}:{}/ HTTP/1.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_it_never_connects_to_itself(form: str, host: str) -> None:
    async with proxy() as stage:
        line = form.format(host, stage.listener().port)
        await refused(stage, line, 508, "loop")
        assert decisions(stage)["loop"] == 1


async def test_nor_to_another_listener_of_its() -> None:
    async with proxy() as stage:
        stage.config["listeners"] += [{"address": "127.0.0.1:39127"}]
        await stage.apply()
        await refused(stage, "CONNECT localhost:39127 HTTP/1.1", 508, "loop")


async def test_a_reload_changes_who_may_go_where() -> None:
    async with proxy(intercept={"allow": []}) as stage:
        await refused(
            stage, f"CONNECT localhost:{stage.server.port} HTTP/1.1", 403, "forbidden_target"
        )
        stage.config["intercept"]["allow"] = ["localhost"]
        await stage.apply()
        await tunnel(stage)
