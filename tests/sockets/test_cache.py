"""Replies are kept and given again, and only those that may be."""

from __future__ import annotations

import gzip
import json
import time
from typing import NoReturn

import pytest

from sidecar.proxy.layers import cache, keeps
from tests.sockets.asking import ANSWER, BODY, END, STREAM, TEXT, WHOLE, Asking, asks, taken
from tests.sockets.peers import EVENTS, chunk, ok, until
from tests.sockets.stage import Stage

JSON = b"Content-Type: application/json"


def stage(store: object = None, prices: object = None, **policy: object) -> Stage:
    policy = {"cache": {}, **policy}
    here = Stage(policy=policy)
    here.config["store"] = store or {}
    here.config["prices"] = prices or {}
    return here


def kept(here: Stage) -> int | None:
    """How many replies are kept; None: there is no cache."""
    return None if here.stats.cache is None else here.stats.cache.entries


class Clock:
    """The wall clock of the cache, which a test moves."""

    def __init__(self) -> None:
        self.later = 0.0
        self._began = time.time()

    def time(self) -> float:
        return self._began + self.later

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (cache, keeps):
        monkeypatch.setattr(module, "time", made)
    return made


async def test_a_reply_is_kept_and_given_again() -> None:
    prices = {"m": {"input": 1000, "output": 2000}}
    async with stage(prices=prices) as here:
        asking = Asking(here)
        first = await asking.miss(asks(), WHOLE)
        assert (first["x-sidecar-cache"], first["age"], first.body) == ("miss", "", BODY)
        again = await asking.hit(asks())
        assert (again.status, again.body, again["content-type"]) == (200, BODY, "application/json")
        assert (again["x-sidecar-cache"], again["age"]) == ("hit", "0")
        assert again["x-request-id"] != first["x-request-id"]
        assert here.route.cache == {"miss": 1, "hit": 1}
        assert here.route.saved.calls == {"hit": 1}
        assert here.route.saved.tokens == {"input": 3, "output": 5}
        assert here.route.saved.cost == pytest.approx(0.013)
        # A kept reply uses no tokens.
        [(model, spent)] = here.route.models.spent.items()
        assert (model, spent.input, spent.output) == (("m", ""), 3, 5)
        assert kept(here) == 1


async def test_a_stream_is_kept_and_given_again() -> None:
    async with stage() as here:
        asking = Asking(here)
        ask = asks({"stream": True})
        first = await asking.miss(ask, STREAM)
        again = await asking.hit(ask)
        assert again.body == first.body == b"".join(TEXT)
        assert again["transfer-encoding"] == "chunked"
        assert again["content-type"] == "text/event-stream"
        assert again["x-sidecar-cache"] == "hit"
        # The same call without a stream is another call.
        assert (await asking.miss(asks(), WHOLE))["x-sidecar-cache"] == "miss"


async def test_a_stream_is_given_at_the_pace_at_which_it_came() -> None:
    async with stage(cache={"replay": "recorded"}) as here:
        asking = Asking(here)
        ask = asks({"stream": True})
        client = await asking.client()
        await client.sends(ask)
        await asking.upstream()
        await asking.answers(EVENTS)
        for event in TEXT:
            await asking.answers(chunk(event))
            await client.until(event + b"\r\n")
        await asking.answers(END)
        await client.until(END)
        await client.sends(ask)
        for event in TEXT:  # each in a chunk of its own, as they came
            await client.until(chunk(event))
        await client.until(END)


async def test_a_caller_may_leave_a_paced_stream() -> None:
    async with stage(cache={"replay": "recorded"}) as here:
        asking = Asking(here)
        ask = asks({"stream": True})
        client = await asking.client()
        await client.sends(ask)
        await asking.upstream()
        for data in (EVENTS + chunk(TEXT[0]), *map(chunk, TEXT[1:])):
            await asking.answers(data)
            await client.until(data[-9:])
        await asking.answers(END)
        await client.until(END)
        memory = here.stats.cache
        assert memory is not None
        for kept, _ in memory._replies._kept.values():  # type: ignore[attr-defined]
            kept.times[-1] = 3_600_000
        client = await here.client()
        await client.sends(ask)
        await client.until(TEXT[0])
        client.closes()
        await here.is_at_rest()


async def test_an_http_1_0_caller_gets_it_too() -> None:
    async with stage() as here:
        asking = Asking(here)
        ask = asks({"stream": True})
        await asking.miss(ask, STREAM)
        client = await here.client()
        await client.sends(ask.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await client.rest()).endswith(b"".join(TEXT))


CALLERS = [
    (asks(authorization="Bearer a"), asks(authorization="Bearer b")),
    (asks(), asks(authorization="Bearer b")),
    (asks(cookie="a=b"), asks(cookie="a=c")),
    (asks(x_api_key="a"), asks(x_api_key="b")),
]


@pytest.mark.parametrize(("one", "other"), CALLERS)
async def test_no_caller_gets_what_another_was_told(one: bytes, other: bytes) -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(one)
        await asking.miss(other)
        assert (await asking.hit(one))["x-sidecar-cache"] == "hit"
    async with stage(cache_key={"shared": True}) as here:
        asking = Asking(here)
        await asking.miss(one)
        await asking.hit(other)


@pytest.mark.parametrize(
    "request_",
    [
        asks({"temperature": 1}),
        asks({"store": True}),
        asks(cache_control="no-store"),
        asks(range="bytes=0-1"),
        b"POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_takes_no_part(request_: bytes) -> None:
    async with stage() as here:
        asking = Asking(here)
        for _ in range(2):
            assert (await asking.miss(request_))["x-sidecar-cache"] == "bypass"
        assert here.route.cache == {"bypass": 2}
        assert kept(here) == 0


BROKEN = EVENTS + chunk(TEXT[0]) + END
ERROR = EVENTS + chunk(TEXT[0]) + chunk(b'data: {"error":{"message":"no"}}\n\n') + END


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (asks({"stream": True}), BROKEN),
        (asks({"stream": True}), ERROR),
        (asks(), ok(BODY, JSON, b"Cache-Control: no-store")),
        (asks(), ok(BODY, JSON, b"Cache-Control: no-cache")),
        (asks(), ok(BODY, JSON, b"Cache-Control: max-age=0")),
        (asks(), ok(BODY, JSON, b"Vary: *")),
        (asks(), ok(BODY, JSON, b"Vary: X-Tenant")),
        (asks(), ok(gzip.compress(BODY), JSON, b"Content-Encoding: gzip")),
        (asks(), ok(b"hi", b"Content-Type: text/plain")),
        (asks(), WHOLE.replace(b"200 OK", b"500 Sorry")),
        (asks(), WHOLE.replace(b"200 OK", b"429 Slow")),
        (asks(), WHOLE.replace(b"200 OK", b"401 Who")),
        (asks(), WHOLE.replace(b"200 OK", b"201 Made")),
    ],
)
async def test_replies_that_are_not_kept(request_: bytes, reply: bytes) -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(request_, reply)
        assert kept(here) == 0
        await asking.miss(request_, reply)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Cache-Control: private",),
        (b"Vary: Accept-Encoding, Origin",),
        (b"Vary: Authorization",),
        (b"X-Other: 1", b"Cache-Control: max-age=60"),
    ],
)
async def test_replies_that_are_kept(lines: tuple[bytes, ...]) -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(asks(), ok(BODY, JSON, *lines))
        await asking.hit(asks())


async def test_a_stream_that_breaks_is_not_kept() -> None:
    async with stage() as here:
        client = await here.client()
        await client.sends(asks({"stream": True}))
        server = await here.accepts()
        await taken(server)
        await server.sends(EVENTS + chunk(TEXT[0]))
        await client.until(TEXT[0])
        server.closes()
        await client.is_cut()
        assert kept(here) == 0


async def test_a_reply_that_is_too_long_is_not_kept() -> None:
    async with stage(cache={"max_reply": "100B"}) as here:
        asking = Asking(here)
        for _ in range(2):
            assert (await asking.miss(asks()))["x-sidecar-cache"] == "miss"


async def test_what_was_true_once_is_not_said_again() -> None:
    lines = (
        b"X-RateLimit-Remaining-Requests: 3",
        b"Anthropic-RateLimit-Tokens-Reset: x",
        b"Set-Cookie: a=b",
        b"X-Request-Id: theirs",
        b"X-Sidecar-Cache: forged",
        b"Openai-Version: 1",
    )
    async with stage() as here:
        asking = Asking(here)
        first = await asking.miss(asks(), ok(BODY, JSON, *lines))
        assert (first["x-request-id"], first["set-cookie"]) == ("theirs", "a=b")
        again = await asking.hit(asks())
        names = {name for name, _ in again.headers}
        assert not names & {b"set-cookie", b"x-ratelimit-remaining-requests"}
        assert b"anthropic-ratelimit-tokens-reset" not in names
        assert again["openai-version"] == "1"
        assert again["x-request-id"] not in ("", "theirs")


async def test_a_caller_may_want_it_anew(clock: Clock) -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(asks())
        other = ok(json.dumps({**ANSWER, "id": "c2"}).encode(), JSON)
        anew = await asking.miss(asks(cache_control="no-cache"), other)
        assert anew["x-sidecar-cache"] == "miss"
        assert json.loads((await asking.hit(asks())).body)["id"] == "c2"
        clock.later = 10.0
        assert (await asking.hit(asks(cache_control="max-age=20")))["age"] in ("10", "11")
        await asking.miss(asks(cache_control="max-age=5"))


async def test_a_caller_may_want_only_what_is_kept() -> None:
    async with stage() as here:
        asking = Asking(here)
        only = asks(cache_control="only-if-cached")
        reply = await asking.hit(only)
        assert (reply.status, reply.code, reply["x-sidecar-cache"]) == (504, "not_cached", "miss")
        assert reply["x-should-retry"] == "false"
        await asking.miss(asks())
        assert (await asking.hit(only)).body == BODY


async def test_a_reply_dies(clock: Clock) -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(asks())
        clock.later = 301.0
        await asking.miss(asks())


async def test_a_stale_reply_is_given_while_it_is_fetched_anew(clock: Clock) -> None:
    policy = {"ttl": "10s", "stale_while_revalidate": "1h"}
    async with stage(cache=policy, single_flight={}) as here:
        asking = Asking(here)
        await asking.miss(asks())
        clock.later = 60.0
        client = await asking.client()
        for _ in range(2):  # one of them fetches it
            await client.sends(asks())
            reply = await client.reply("POST")
            assert (reply["x-sidecar-cache"], reply.body) == ("stale", BODY)
            assert int(reply["age"]) >= 60
        await asking.upstream()
        other = json.dumps({**ANSWER, "id": "c2"}).encode()
        await asking.answers(ok(other, JSON))
        await here.is_at_rest()
        clock.later = 0.0
        assert (await asking.hit(asks())).body == other
        assert here.route.cache == {"miss": 1, "stale": 2, "hit": 1}


async def test_where_fetching_it_anew_fails_it_stays(clock: Clock) -> None:
    policy = {"ttl": "10s", "stale_while_revalidate": "1h"}
    async with stage(cache=policy) as here:
        asking = Asking(here)
        await asking.miss(asks())
        clock.later = 60.0
        client = await asking.client()
        await client.sends(asks())
        assert (await client.reply("POST"))["x-sidecar-cache"] == "stale"
        await asking.upstream()
        await asking.answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        await here.is_at_rest()
        await client.sends(asks())
        assert (await client.reply("POST"))["x-sidecar-cache"] == "stale"
        await asking.upstream()
        await asking.answers(WHOLE)


async def test_a_stale_reply_is_given_where_the_upstream_fails(clock: Clock) -> None:
    async with stage(cache={"ttl": "10s", "stale_if_error": "1h"}) as here:
        asking = Asking(here)
        client = await asking.client()
        await asking.miss(asks())
        clock.later = 60.0
        for failure in (b"503 Busy", b"429 Slow", b"529 Over"):
            await client.sends(asks())
            await asking.upstream()
            await asking.answers(b"HTTP/1.1 " + failure + b"\r\nContent-Length: 0\r\n\r\n")
            reply = await client.reply("POST")
            assert (reply.status, reply["x-sidecar-cache"]) == (200, "stale")
        here.server.closes()  # and where nobody answers
        await client.sends(asks())
        reply = await client.reply("POST")
        assert (reply.status, reply["x-sidecar-cache"], reply.body) == (200, "stale", BODY)


async def test_a_bad_request_is_told_though_something_stale_is_there(clock: Clock) -> None:
    async with stage(cache={"ttl": "10s", "stale_if_error": "1h"}) as here:
        asking = Asking(here)
        await asking.miss(asks())
        clock.later = 60.0
        bad = WHOLE.replace(b"200 OK", b"400 Bad")
        assert (await asking.miss(asks(), bad)).status == 400


async def test_dead_keys_ask_as_often_as_errors_die(clock: Clock) -> None:
    """However often callers ask for what is not there, each key is asked once in its time."""
    missing = ok(b'{"error":{"message":"none"}}', JSON).replace(b"200 OK", b"404 No")
    async with stage() as here:
        serving = here.begins(serves(here, missing))
        client = await here.client()
        for when in (0.0, 0.0, 0.0, 6.0, 6.0):
            clock.later = when
            for number in range(200):
                await client.sends(asks({"messages": [number]}))
                assert (await client.reply("POST")).status == 404
        assert sum(here.endpoint.attempts.values()) == 400
        assert here.route.cache == {"miss": 400, "hit": 600}
        assert not here.route.saved.calls  # an error saves nothing that would have been paid
        serving.cancel()


async def serves(here: Stage, reply: bytes) -> NoReturn:
    """The endpoint answers everything alike, on one connection."""
    server = await here.accepts()
    while True:
        await taken(server)
        await server.sends(reply)


async def test_kept_replies_outlive_a_reload() -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(asks())
        await here.apply()
        await asking.hit(asks())
        here.config["store"] = {"memory": "1B"}
        await here.apply()
        assert kept(here) == 0
        here.config["policies"]["default"]["cache"] = None
        await here.apply()
        assert kept(here) is None
        assert (await asking.miss(asks()))["x-sidecar-cache"] == ""


async def test_a_thousand_at_once_with_a_cache_are_one_and_then_none() -> None:
    async with stage(single_flight={}) as here:
        clients = [await here.client() for _ in range(200)]
        for client in clients:
            await client.sends(asks())
        server = await here.accepts()
        await taken(server)
        await until(lambda: here.route.in_flight == len(clients))
        await server.sends(WHOLE)
        for client in clients:
            assert (await client.reply("POST")).body == BODY
        for client in clients:
            await client.sends(asks())
            assert (await client.reply("POST"))["x-sidecar-cache"] == "hit"
        assert sum(here.endpoint.attempts.values()) == 1


async def test_kept_replies_are_purged() -> None:
    async with stage() as here:
        asking = Asking(here)
        await asking.miss(asks())
        assert here.stats.cache is not None
        assert here.stats.cache.purge("other", None) == 0
        await asking.hit(asks())
        assert here.stats.cache.purge("r", "m") == 1
        await asking.miss(asks())
