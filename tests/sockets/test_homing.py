"""Calls for what an endpoint keeps go to that endpoint, and to no other."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from tests.sockets.peers import Peer, ok
from tests.sockets.scripted import Fleet, Scripted, status

HOME: dict[str, Any] = {"state": "home"}
JSON = b"Content-Type: application/json"


class Keeper(Scripted):
    """Makes things with ids of its own, for each account, and knows only these."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.kept: set[str] = set()
        self.misrouted = 0

    async def _act(self, peer: Peer) -> bool:
        if self.acts or self.always:
            return await super()._act(peer)
        head, _, body = self.requests[-1].partition(b"\r\n\r\n")
        method, target = head.split(b" ")[:2]
        account = head.lower().partition(b"bearer ")[2].partition(b"\r\n")[0].decode()
        names = [each for each in target.decode().partition("?")[0].split("/") if each]
        asked = json.loads(body) if body.startswith(b"{") else {}
        wanted = names[2] if len(names) > 2 else None
        for member in ("previous_response_id", "conversation", "input_file_id"):
            wanted = asked.get(member, wanted)
        if wanted is not None and account + wanted not in self.kept:
            self.misrouted += 1
            await peer.sends(status(404, JSON, body=b'{"error":{"code":"not_found"}}'))
            return True
        made = f"{names[1][:4]}_{random.getrandbits(64):x}"
        if method == b"POST":
            self.kept.add(account + made)
        shown = {"id": made if method == b"POST" else wanted, "server": self.name}
        if asked.get("stream"):
            events: list[dict[str, Any]] = [
                {"type": "response.created", "response": shown},
                {"type": "response.output_text.delta", "delta": "hi"},
                {"type": "response.completed", "response": {**shown, "status": "completed"}},
            ]
            stream = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
            await peer.sends(ok(stream, b"Content-Type: text/event-stream"))
        else:
            await peer.sends(ok(json.dumps(shown).encode(), JSON))
        return True


def asks(path: str, method: str = "POST", **body: Any) -> bytes:
    content = json.dumps(body).encode() if method == "POST" else b""
    lines = (
        f"{method} /v1/{path} HTTP/1.1",
        "Host: a",
        "Accept-Encoding: gzip",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}\r\n\r\n",
    )
    return "\r\n".join(lines).encode() + content


async def made(stage: Fleet, client: Peer, request: bytes) -> tuple[str, str]:
    """The id of what was made, and the server that made it."""
    code, body, _ = await stage.gets(request, client)
    assert code == 200, body
    told = json.loads(body.partition(b"\n\n")[0].removeprefix(b"data: "))
    told = told.get("response", told)
    return told["id"], told["server"]


async def test_conversations_at_once_stay_where_they_began() -> None:
    servers = [Keeper(name) for name in "abc"]
    async with Fleet(*servers, policy=HOME) as stage:

        async def talk(number: int) -> str:
            client = await stage.client()
            stream = number % 2 == 0
            last, home = await made(stage, client, asks("responses", input="hi", stream=stream))
            for _ in range(3):
                more: dict[str, Any] = {
                    "input": "more",
                    "previous_response_id": last,
                    "stream": stream,
                }
                last, server = await made(stage, client, asks("responses", **more))
                assert server == home
            assert await made(stage, client, asks(f"responses/{last}", "GET")) == (last, home)
            return home

        homes = await asyncio.gather(*(talk(number) for number in range(60)))
        assert set(homes) == {"a", "b", "c"}
        assert sum(server.misrouted for server in servers) == 0
        assert stage.route.stateful == {"known": 60 * 4}


async def test_files_batches_and_conversations_have_homes() -> None:
    servers = [Keeper(name) for name in "abc"]
    async with Fleet(*servers, policy=HOME) as stage:
        client = await stage.client()
        for _ in range(6):
            file, home = await made(stage, client, asks("files"))
            batch = await made(stage, client, asks("batches", input_file_id=file))
            assert batch[1] == home
            assert await made(stage, client, asks(f"batches/{batch[0]}", "GET")) == (batch[0], home)
            talk, home = await made(stage, client, asks("conversations"))
            assert (await made(stage, client, asks("responses", conversation=talk)))[1] == home
            assert (await stage.gets(asks(f"conversations/{talk}", "DELETE"), client))[0] == 200


async def test_items_that_a_call_refers_to_have_homes() -> None:
    servers = [Scripted(name) for name in "abc"]
    for server in servers:
        reply = {"id": f"resp_{server.name}", "output": [{"type": "message", "id": "msg_X"}]}
        text = json.dumps(reply).replace("X", server.name).encode()
        server.always = ok(text, JSON)
    async with Fleet(*servers, policy=HOME) as stage:
        client = await stage.client()
        for _ in range(6):
            _, first, _ = await stage.gets(asks("responses", input="hi"), client)
            item = {"type": "item_reference", "id": json.loads(first)["output"][0]["id"]}
            later = asks("responses", input=[item, {"role": "user", "content": "more"}])
            _, second, _ = await stage.gets(later, client)
            assert second == first
        assert stage.route.stateful == {"known": 6}
        assert {server.calls for server in servers} == {4}


async def test_the_pages_of_a_list_are_of_one_endpoint() -> None:
    servers = [Scripted(name) for name in "abc"]
    for server in servers:
        files = {"data": [{"id": f"file-{server.name}{number}"} for number in range(2)]}
        server.always = ok(json.dumps(files).encode(), JSON)
    async with Fleet(*servers, policy=HOME) as stage:
        client = await stage.client()
        whole = {(await stage.gets(asks("files", "GET"), client))[1] for _ in range(6)}
        assert len(whole) == 1
        # What another one made is asked for there, whoever has the list.
        made = {(await stage.gets(asks("files"), client))[1] for _ in range(3)}
        assert len(made) == 3
        for name in "abc":
            page = asks(f"files?limit=2&after=file-{name}1", "GET")
            _, body, _ = await stage.gets(page, client)
            assert json.loads(body)["data"][0]["id"] == f"file-{name}0"


async def test_an_unknown_id_chooses_and_is_neither_hedged_nor_tried_elsewhere() -> None:
    servers = [Scripted(name, always=status(503)) for name in "abc"]
    policy = {**HOME, "hedge": {"after": "1us", "min_calls": 1}, "retry": {"max": 2}}
    async with Fleet(*servers, policy=policy) as stage:
        for number in range(8):
            before = [server.calls for server in servers]
            assert (await stage.gets(asks(f"responses/resp_{number}", "GET")))[0] == 503
            more = [server.calls - was for server, was in zip(servers, before, strict=True)]
            assert sorted(more)[:2] == [0, 0]
        assert stage.route.stateful == {"unknown": 8}
        assert stage.route.hedges == 0


async def test_a_known_home_gets_the_call_though_its_breaker_is_open() -> None:
    servers = [Keeper(name) for name in "ab"]
    breaker = {"min_calls": 1, "window_calls": 1, "open": "60s"}
    async with Fleet(*servers, policy={**HOME, "breaker": breaker, "retry": {"max": 0}}) as stage:
        client = await stage.client()
        name, home = await made(stage, client, asks("responses"))
        keeper = next(server for server in servers if server.name == home)
        keeper.acts = [status(500)]
        get = asks(f"responses/{name}", "GET")
        assert (await stage.gets(get, client))[0] == 500
        assert (await stage.gets(asks("embeddings"), client))[0] == 200
        assert await made(stage, client, get) == (name, home)


async def test_what_a_fallback_made_stays_there() -> None:
    first, second = Keeper("first"), Keeper("second")
    upstreams = {
        "u": {"endpoints": [{"url": first.url}]},
        "v": {"endpoints": [{"url": second.url}], "credentials": "forward"},
    }
    routes = [{"name": "r", "upstream": "u", "fallback": [{"upstream": "v"}]}]
    policy = {**HOME, "retry": {"max": 0}}
    async with Fleet(first, second, policy=policy, upstreams=upstreams, routes=routes) as stage:
        client = await stage.client()
        first.acts = [status(503)]
        name, home = await made(stage, client, asks("responses"))
        assert home == "second"
        later = asks("responses", previous_response_id=name)
        assert (await made(stage, client, later))[1] == "second"
        second.acts = [status(503)]
        assert (await stage.gets(later, client))[0] == 503  # and `first` is not asked
        assert first.calls == 1
        # What is not known is asked for at the route's own upstream, and nowhere else.
        first.acts = [status(503)]
        assert (await stage.gets(asks("responses", previous_response_id="resp_x"), client))[
            0
        ] == 503
        assert (first.calls, second.calls) == (2, 3)


async def test_without_the_setting_no_route_has_the_layer() -> None:
    async with Fleet(Keeper("a"), Keeper("b")) as stage:
        client = await stage.client()
        name, _ = await made(stage, client, asks("responses"))
        codes = [(await stage.gets(asks(f"responses/{name}", "GET"), client))[0] for _ in "ab"]
        assert sorted(codes) == [200, 404]
        assert not stage.route.stateful


async def test_what_one_of_several_keys_made_is_asked_for_with_that_key() -> None:
    server = Keeper("a")
    keys = [
        {"name": name, "header": "authorization", "value": f"Bearer {name}"}
        for name in ("k1", "k2")
    ]
    async with Fleet(server, policy=HOME, upstream={"credentials": keys}) as stage:
        client = await stage.client()
        for _ in range(20):
            name, _ = await made(stage, client, asks("responses"))
            await made(stage, client, asks("responses", previous_response_id=name))
            await made(stage, client, asks(f"responses/{name}", "GET"))
        assert server.misrouted == 0
        assert {account[:2] for account in server.kept} == {"k1", "k2"}
        # Another account would say that there is no such response: the limit is what is wrong.
        server.acts = [status(429, b"Retry-After: 100")]
        before = server.calls
        assert (await stage.gets(asks(f"responses/{name}", "GET"), client))[0] == 429
        assert server.calls == before + 1
        await made(stage, client, asks(f"responses/{name}", "GET"))  # though its key cools down
        # All sidecars ask with the same key for an id that they don't know.
        unknown = asks("responses/resp_x", "GET")
        await stage.gets(unknown, client)
        await stage.gets(unknown, client)
        first, second = (request.lower() for request in server.requests[-2:])
        assert first.partition(b"bearer ")[2][:2] == second.partition(b"bearer ")[2][:2]
