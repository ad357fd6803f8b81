"""Embeddings that travel together: one upstream call, and each caller gets its own vectors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from sidecar.errors import GuardRefused
from sidecar.proxy.layers.batches import Batches
from sidecar.proxy.layers.layer import Layer
from tests.sockets.peers import Peer, Reply, Server, ok, until
from tests.sockets.stage import Section, Stage

KEYS = {"header": "authorization", "value": "Bearer ours"}
IDS = b"Content-Type: application/json\r\nx-request-id: req-1\r\nx-ratelimit-remaining: 7"


def asks(given: object = "a", path: str = "/v1/embeddings", **more: Any) -> bytes:
    headers = more.pop("headers", {})
    content = json.dumps({"model": "m", "input": given, **more}).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{lines}"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


class Batching(Stage):
    """A stage whose batches wait until they are full, however slow the machine is."""

    def __init__(
        self, items: int, *, policy: Section | None = None, waits: float = 3600, **sections: Any
    ) -> None:
        batch = {"items": items, **sections.pop("batch", {})}
        super().__init__(policy={"batch": batch, **(policy or {})}, **sections)
        self._waits = waits

    async def apply(self) -> None:
        await super().apply()
        layer = self.layer
        layer._settings = layer._settings._replace(window=self._waits)

    @property
    def layer(self) -> Batches:
        layer: Layer = self.serving.snapshot.router.rules[0].route.stack
        while not isinstance(layer, Batches):
            layer = layer._inner  # type: ignore[attr-defined]
        return layer

    @property
    def waiting(self) -> int:
        """Calls that wait in open batches."""
        groups = self.layer._groups.values()
        return sum(len(group.batch.members) for group in groups if group.batch is not None)

    @property
    def spent(self) -> int:
        """Input tokens of the one model."""
        [counted] = self.route.models.spent.values()
        return counted.input

    @property
    def seen(self) -> int:
        """Calls that have come."""
        return self.route.in_flight + sum(self.route.statuses.values())

    def _has_seen(self, calls: int) -> bool:
        return self.seen >= calls

    async def sends(self, *requests: bytes) -> list[Peer]:
        """Clients with one request each, which arrive in this order."""
        clients = []
        for request in requests:
            before = self.seen
            clients.append(await self.client())
            await clients[-1].sends(request)
            await until(partial(self._has_seen, before + 1))
        return clients


async def joint(server: Peer) -> tuple[bytes, dict[str, Any]]:
    """The head and the body of the next request."""
    head = await server.head()
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < size:
        body += await server.receives(size - len(body))
    return head, json.loads(body)


def vectors(items: Sequence[object], tokens: int) -> bytes:
    """A whole reply: the vector of an item has its text in it."""
    data = [
        {"object": "embedding", "index": index, "embedding": [str(item)]}
        for index, item in enumerate(items)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": "m-1", "usage": usage}
    return ok(json.dumps(body).encode(), IDS)


def texts(reply: Reply) -> list[tuple[int, str]]:
    assert reply.status == 200, reply
    return [(row["index"], row["embedding"][0]) for row in json.loads(reply.body)["data"]]


async def test_calls_travel_together_and_each_gets_its_own() -> None:
    async with Batching(4) as here:
        clients = await here.sends(asks("a"), asks(["b", "cccccccc"]), asks("d"))
        server = await here.accepts()
        head, body = await joint(server)
        assert body == {"model": "m", "input": ["a", "b", "cccccccc", "d"]}
        assert b"\r\nAccept-Encoding: identity\r\n" in head
        await server.sends(vectors(body["input"], 11))
        replies = [await client.reply("POST") for client in clients]
        assert [texts(reply) for reply in replies] == [
            [(0, "a")],
            [(0, "b"), (1, "cccccccc")],
            [(0, "d")],
        ]
        bodies = [json.loads(reply.body) for reply in replies]
        assert [body["usage"]["total_tokens"] for body in bodies] == [2, 7, 2]
        assert {(body["object"], body["model"]) for body in bodies} == {("list", "m-1")}
        for reply in replies:
            assert reply["x-sidecar-batch"] == "4"
            assert (reply["x-request-id"], reply["x-ratelimit-remaining"]) == ("req-1", "7")
        assert len({reply["x-trace-id"] for reply in replies}) == 3
        await here.is_at_rest()
        route = here.route
        assert sum(here.endpoint.attempts.values()) == 1
        assert here.spent == 11
        assert route.verdicts == {"complete": 3}
        assert (route.saved.calls, route.batched.ended) == ({"batched": 2}, {"answered": 1})
        assert route.batched.items.total == 4


async def test_a_call_that_nobody_joins_goes_as_it_is() -> None:
    async with Batching(4, waits=0.001) as here:
        request = asks("a", headers={"accept-encoding": "gzip"})
        [client] = await here.sends(request)
        server = await here.accepts()
        head, body = await joint(server)
        assert b"accept-encoding: gzip" in head
        assert body == {"model": "m", "input": "a"}
        await server.sends(vectors("a", 1))
        assert (await client.reply("POST"))["x-sidecar-batch"] == ""
        assert not here.route.batched.ended


def team(name: str) -> dict[str, Any]:
    return {"headers": {"x-team": name}}


def bearer(key: str) -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {key}"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (asks("a", **bearer("a")), asks("b", **bearer("b"))),
        (asks("a", **bearer("a")), asks("b")),
        (asks("a", **team("a")), asks("b", **team("b"))),
        (asks("a", model="n"), asks("b")),
        (asks("a"), asks("b").replace(b"application/json", b"text/plain")),
        (asks("a", dimensions=3), asks("b")),
        (asks("a", encoding_format="base64"), asks("b", encoding_format="float")),
        (asks("a"), asks([1])),
        (asks("a"), asks("b", path="/v1/embeddings?a")),
        (asks("a"), asks("b", path="/other/embeddings")),
    ],
)
async def test_calls_that_differ_wait_apart(one: bytes, other: bytes) -> None:
    async with Batching(2, batch={"headers": ["x-team"]}) as here:
        await here.sends(one, other)
        await until(lambda: here.waiting == 2)
        assert len(here.layer._groups) == 2
        # Each meets its like.
        await here.sends(one, other)
        for _ in range(2):
            server = await here.accepts()
            assert len((await joint(server))[1]["input"]) == 2


@pytest.mark.parametrize("credentials", [KEYS, "drop"])
async def test_with_the_upstreams_own_key_callers_travel_together(credentials: object) -> None:
    async with Batching(2, upstream={"credentials": credentials}) as here:
        clients = await here.sends(asks("a", **bearer("a")), asks("b", **bearer("b")))
        server = await here.accepts()
        head, body = await joint(server)
        assert b"Bearer a" not in head
        await server.sends(vectors(body["input"], 2))
        for client, text in zip(clients, "ab", strict=True):
            assert texts(await client.reply("POST")) == [(0, text)]


@pytest.mark.parametrize(
    "sections",
    [
        {
            "policy": {
                "limits": {"tokens": {"client": {"by": "header", "header": "x-team", "input": 99}}}
            }
        },
        {
            "routes": [
                {
                    "name": "r",
                    "upstream": "u",
                    "split": [{"upstream": "u", "model": "n", "share": "50%"}],
                    "sticky": {"by": "header", "name": "x-team"},
                }
            ]
        },
    ],
)
async def test_whom_the_layers_inside_tell_apart_wait_apart(sections: Any) -> None:
    async with Batching(2, upstream={"credentials": KEYS}, **sections) as here:
        await here.sends(asks("a", **team("a")), asks("b", **team("b")))
        await until(lambda: here.waiting == 2)
        assert len(here.layer._groups) == 2


async def test_other_keys_still_tell_callers_apart() -> None:
    async with Batching(2, upstream={"credentials": KEYS}) as here:
        requests = [asks("a", headers={"openai-project": name}) for name in "ab"]
        await here.sends(*requests)
        await until(lambda: here.waiting == 2)


@pytest.mark.parametrize("status", [400, 413, 422, 500])
async def test_one_bad_item_fails_its_own_caller(status: int) -> None:
    async with Batching(3) as here:
        clients = await here.sends(asks("a"), asks("bad"), asks("c"))
        server = await here.accepts()
        await joint(server)
        refusal = b"HTTP/1.1 %d No\r\nContent-Length: 3\r\n\r\nbad" % status
        await server.sends(refusal)
        servers = [server, await here.accepts(), await here.accepts()]
        for server in servers:
            _, body = await joint(server)
            bad = body["input"] == "bad"
            await server.sends(refusal if bad else vectors([body["input"]], 1))
        one, bad_one, other = [await client.reply("POST") for client in clients]
        assert (bad_one.status, bad_one.body) == (status, b"bad")
        assert (texts(one), texts(other)) == ([(0, "a")], [(0, "c")])
        assert one["x-sidecar-batch"] == ""
        assert here.route.batched.ended == {"refused": 1}
        assert not here.route.saved.calls


async def test_a_text_with_a_secret_travels_alone() -> None:
    async with Batching(2, policy={"redact": {}}) as here:
        clients = await here.sends(asks("a"), asks(["b", "write to bob@example.com"]))
        server = await here.accepts()
        _, body = await joint(server)
        assert body["input"] == ["b", "write to [[EMAIL_1]]"]
        await server.sends(vectors(body["input"], 2))
        assert (await clients[1].reply("POST"))["x-sidecar-batch"] == ""
        assert here.waiting == 1


async def test_what_a_guard_refuses_is_refused_to_its_own_caller() -> None:
    async with Batching(2) as here:
        inner = here.layer._inner

        async def guarded(call: Any, request: Any) -> Any:
            if b"bob" in (request.content or call.body.content()):
                raise GuardRefused("no")
            return await inner(call, request)

        here.layer._inner = guarded
        clients = await here.sends(asks("a"), asks("bob"))
        server = await here.accepts()
        _, body = await joint(server)
        assert body["input"] == "a"
        await server.sends(vectors("a", 1))
        assert texts(await clients[0].reply("POST")) == [(0, "a")]
        refused = await clients[1].reply("POST")
        assert (refused.status, refused.code) == (400, "guard_refused")
        await here.is_at_rest()
        assert here.route.batched.ended == {"refused": 1}


async def test_a_joint_reply_is_no_kept_one_until_it_is() -> None:
    async with Batching(2, policy={"cache": {}}) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        _, body = await joint(server)
        await server.sends(vectors(body["input"], 2))
        for client, text in zip(clients, "ab", strict=True):
            reply = await client.reply("POST")
            assert (texts(reply), reply["x-sidecar-cache"]) == ([(0, text)], "miss")
            await client.sends(asks(text))
            again = await client.reply("POST")
            assert (texts(again), again["x-sidecar-cache"]) == ([(0, text)], "hit")
        assert here.route.saved.calls == {"batched": 1, "hit": 2}


async def test_what_concerns_all_is_told_to_all() -> None:
    async with Batching(2) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        await joint(server)
        await server.sends(
            b"HTTP/1.1 429 Slow\r\nretry-after: 3\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        for client in clients:
            reply = await client.reply("POST")
            assert (reply.status, reply["retry-after"], reply.body) == (429, "3", b"{}")
        await here.is_at_rest()
        assert here.route.batched.ended == {"failed": 1}
        assert sum(here.endpoint.attempts.values()) == 1


async def test_an_attempt_that_fails_fails_for_all() -> None:
    async with Batching(2) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        await joint(server)
        server.closes()
        for client in clients:
            reply = await client.reply("POST")
            assert (reply.status, reply.code) == (502, "upstream_reset")


ODD = [
    vectors(["a"], 1),
    ok(b'{"error":{"message":"no"}}', b"Content-Type: text/plain"),
    ok(b"x", b"Content-Encoding: br"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    ok(b"x" * 2000, b"Content-Type: text/plain"),
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nabc",  # and the end
]


@pytest.mark.parametrize("odd", ODD)
async def test_a_reply_that_cant_be_split_is_asked_for_one_by_one(odd: bytes) -> None:
    async with Batching(2, batch={"reply": "1KiB"}) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        await joint(server)
        await server.sends(odd)
        server.closes()
        for _ in clients:
            server = await here.accepts()
            _, body = await joint(server)
            await server.sends(vectors([body["input"]], 1))
        for client, text in zip(clients, "ab", strict=True):
            assert texts(await client.reply("POST")) == [(0, text)]
        await here.is_at_rest()
        assert here.route.batched.ended == {"unread": 1}


async def test_who_leaves_before_it_is_sent_is_not_in_it() -> None:
    async with Batching(3) as here:
        leaver, client = await here.sends(asks("d"), asks("e"))
        await until(lambda: here.waiting == 2)
        leaver.closes()
        await until(lambda: here.waiting == 1)
        await here.sends(asks(["f", "g"]))
        other = await here.accepts()
        _, body = await joint(other)
        assert body["input"] == ["e", "f", "g"]
        await other.sends(vectors(body["input"], 3))
        assert texts(await client.reply("POST")) == [(0, "e")]


async def test_who_waits_may_leave() -> None:
    async with Batching(2) as here:
        [leaver] = await here.sends(asks("a"))
        await until(lambda: here.waiting == 1)
        leaver.closes()
        await until(lambda: here.waiting == 0)
        await here.sends(asks("b"), asks("c"))
        _, body = await joint(await here.accepts())
        assert body["input"] == ["b", "c"]


async def test_who_leaves_a_joint_call_ends_it_for_nobody_else() -> None:
    async with Batching(2) as here:
        leaver, client = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        _, body = await joint(server)
        leaver.closes()
        await until(lambda: here.route.errors == {"caller_left": 1})
        await server.sends(vectors(body["input"], 4))
        assert texts(await client.reply("POST")) == [(0, "b")]
        await here.is_at_rest()
        # The provider has counted the other's tokens too.
        assert here.spent == 4


async def test_when_the_last_has_left_the_joint_call_ends() -> None:
    async with Batching(2) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        await joint(server)
        for client in clients:
            client.closes()
        await server.is_cut()
        await here.is_at_rest()
        assert here.route.batched.ended == {"left": 1}


async def test_a_caller_waits_until_its_own_deadline() -> None:
    async with Batching(2, timeouts={"total": "10ms"}) as here:
        [client] = await here.sends(asks("a"))
        assert (await client.reply("POST")).code == "total_timeout"
        assert here.waiting == 0


async def test_a_call_that_fills_a_batch_by_itself_goes_at_once() -> None:
    async with Batching(2) as here:
        [client] = await here.sends(asks(["a", "b", "c"]))
        server = await here.accepts()
        _, body = await joint(server)
        await server.sends(vectors(body["input"], 3))
        assert len(texts(await client.reply("POST"))) == 3


async def test_empty_items_are_left_out() -> None:
    async with Batching(3, batch={"empty": "drop"}) as here:
        one, other = await here.sends(asks(["", "a"]), asks(["b", "", "c"]))
        server = await here.accepts()
        _, body = await joint(server)
        assert body["input"] == ["a", "b", "c"]
        await server.sends(vectors(body["input"], 3))
        reply = await one.reply("POST")
        assert (texts(reply), reply["x-sidecar-dropped"]) == ([(1, "a")], "0; empty")
        reply = await other.reply("POST")
        assert (texts(reply), reply["x-sidecar-dropped"]) == ([(0, "b"), (2, "c")], "1; empty")


async def test_empty_items_are_left_out_of_a_lone_call_too() -> None:
    async with Batching(2, batch={"empty": "drop"}) as here:
        [client] = await here.sends(asks(["a", *[""] * 40, "b", "c"]))
        server = await here.accepts()
        _, body = await joint(server)
        assert body["input"] == ["a", "b", "c"]
        await server.sends(vectors(body["input"], 3))
        reply = await client.reply("POST")
        assert [index for index, _ in texts(reply)] == [0, 41, 42]
        assert reply["x-sidecar-dropped"].endswith("32, and 8 more; empty")


@pytest.mark.parametrize(
    ("given", "how", "says"),
    [
        (["a", ""], "refuse", "item 1 of the input is empty"),
        ("", "refuse", "every item of the input is empty"),
        ("", "drop", "every item of the input is empty"),
    ],
)
async def test_empty_items_are_refused(given: object, how: str, says: str) -> None:
    async with Batching(2, batch={"empty": how}) as here:
        [client] = await here.sends(asks(given))
        reply = await client.reply("POST")
        assert (reply.status, reply.code) == (400, "empty_input")
        assert says in json.loads(reply.body)["error"]["message"]
        await client.sends(asks(["a", "b", "c"]))  # the connection is as good as before
        await here.accepts()


async def test_empty_items_are_the_servers_business_unless_that_is_said() -> None:
    async with Batching(3) as here:
        await here.sends(asks(["a", ""]))
        _, body = await joint(await here.accepts())
        assert body["input"] == ["a", ""]


async def test_other_calls_are_not_looked_at() -> None:
    async with Batching(2) as here:
        for _ in range(2):
            [client] = await here.sends(asks(path="/v1/chat/completions"))
            server = await here.accepts()
            await joint(server)
            await server.sends(ok(b"{}"))
            assert (await client.reply("POST")).body == b"{}"
            server.closes()


async def test_the_same_calls_are_one_before_they_travel() -> None:
    async with Batching(2, policy={"single_flight": {}}) as here:
        clients = await here.sends(asks("a"), asks("a"), asks("b"))
        server = await here.accepts()
        _, body = await joint(server)
        assert body["input"] == ["a", "b"]
        await server.sends(vectors(body["input"], 6))
        for client, text in zip(clients, "aab", strict=True):
            reply = await client.reply("POST")
            assert texts(reply) == [(0, text)]
            assert reply["x-sidecar-batch"] == "2"
        await here.is_at_rest()
        assert here.spent == 6
        assert here.route.saved.calls == {"joined": 1, "batched": 1}


async def test_a_reload_leaves_a_batch_alone() -> None:
    async with Batching(2) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        _, body = await joint(server)
        await here.apply()
        await server.sends(vectors(body["input"], 2))
        for client, text in zip(clients, "ab", strict=True):
            assert texts(await client.reply("POST")) == [(0, text)]


async def test_joint_calls_that_gain_nothing_are_given_up_for_a_while() -> None:
    async with Batching(2) as here:
        for _ in range(3):
            clients = await here.sends(asks("a"), asks("b"))
            server = await here.accepts()
            await joint(server)
            await server.sends(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            for _ in clients:
                server = await here.accepts()
                _, body = await joint(server)
                await server.sends(vectors([body["input"]], 1))
                server.closes()
            for client in clients:
                await client.reply("POST")
            await here.is_at_rest()
        await here.sends(asks("a"))
        assert (await joint(await here.accepts()))[1]["input"] == "a"


async def answers(server: Server) -> None:
    """Give every item its vector, on each connection."""
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_answers(await server.accepts()))


async def _answers(peer: Peer) -> None:
    with contextlib.suppress(AssertionError):  # the connection has ended
        while True:
            _, body = await joint(peer)
            given = body["input"]
            items = [given] if isinstance(given, str) else given
            await peer.sends(vectors(items, len(items)))


async def test_a_lone_caller_is_alone_and_a_crowd_is_not() -> None:
    async with Batching(100, batch={"window": "auto"}, waits=0.05) as here:
        serving = here.begins(answers(here.server))
        lone = await here.client()
        for number in range(5):
            await lone.sends(asks(f"lone {number}"))
            reply = await lone.reply("POST")
            assert texts(reply) == [(0, f"lone {number}")]
            assert reply["x-sidecar-batch"] == ""
        clients = [await here.client() for _ in range(100)]
        for number, client in enumerate(clients):
            await client.sends(asks(str(number)))
        for number, client in enumerate(clients):
            assert texts(await client.reply("POST")) == [(0, str(number))]
        assert here.route.batched.ended["answered"]
        serving.cancel()


async def test_a_joint_call_is_tried_again_as_one() -> None:
    servers = [Server(), Server()]
    retry = {"retry": {"max": 1, "backoff": {"base": "0ms"}}}
    async with Batching(2, servers=servers, policy=retry) as here:
        clients = await here.sends(asks("a"), asks("b"))
        accepting = [here.begins(server.accepts()) for server in servers]
        for _ in range(2):
            done, _ = await asyncio.wait(accepting, return_when=asyncio.FIRST_COMPLETED)
            [first] = done
            accepting.remove(first)
            server = first.result()
            _, body = await joint(server)
            if accepting:
                server.closes()
        await server.sends(vectors(body["input"], 2))
        for client, text in zip(clients, "ab", strict=True):
            assert texts(await client.reply("POST")) == [(0, text)]
        await here.is_at_rest()
        assert sum(here.route.retries.values()) == 1


async def test_an_alias_replaces_the_model_of_a_joint_call() -> None:
    routes = [{"name": "r", "upstream": "u", "model": "real", "match": {"model": "m"}}]
    async with Batching(2, routes=routes) as here:
        clients = await here.sends(asks("a"), asks("b"))
        server = await here.accepts()
        _, body = await joint(server)
        assert body == {"model": "real", "input": ["a", "b"]}
        await server.sends(vectors(body["input"], 2))
        for client, text in zip(clients, "ab", strict=True):
            assert texts(await client.reply("POST")) == [(0, text)]


async def test_without_it_there_is_no_layer() -> None:
    async with Stage() as here:
        for text in "ab":
            await here.call(asks(text))
        assert "batches" not in here.serving.snapshot.router.rules[0].route.layers
