"""Several keys of one upstream act as one: what a key can't do another does, without a retry."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sidecar.policy.key_pool import KeyPool
from tests.sockets.peers import Peer, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.test_fallbacks import upstreams

MONEY = b'{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}'
LIMIT = b'{"error":{"message":"slow","type":"tokens","code":"rate_limit_exceeded"}}'
BAD_KEY = b'{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}'
NO_MODEL = b'{"error":{"message":"not yours","type":"permission_error"}}'
JSON = b"Content-Type: application/json"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def error(code: int, body: bytes, *lines: bytes) -> bytes:
    return status(code, JSON, *lines, body=body)


def sse(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return STREAM + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)


class Provider(Scripted):
    """Answers by the key that a request has."""

    def __init__(self, name: str = "u", /, **by_key: bytes) -> None:
        super().__init__(name)
        self.by_key = by_key

    async def _act(self, peer: Peer) -> bool:
        self.always = self.by_key.get(key_of(self.requests[-1]))
        return await super()._act(peer)

    @property
    def keys(self) -> list[str]:
        """Of the requests, in order."""
        return [key_of(request) for request in self.requests]


def key_of(request: bytes) -> str:
    found = re.findall(rb"\r\nauthorization: Bearer (\w+)", request, re.IGNORECASE)
    assert len(found) == 1, request
    return str(found[0].decode())


def keys(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"header": "Authorization", "value": f"Bearer {name}", "name": f"key.{name}", **more}
        for name in names
    ]


def fleet(
    provider: Scripted, credentials: Any, *others: Scripted, retries: int = 0, **sections: Any
) -> Fleet:
    known = upstreams(**{server.name: server for server in (provider, *others)})
    known[provider.name]["credentials"] = credentials
    policy = {"retry": {"max": retries}, **sections.pop("policy", {})}
    route = {"name": "r", "upstream": provider.name, **sections.pop("route", {})}
    return Fleet(provider, *others, upstreams=known, routes=[route], policy=policy, **sections)


def pool(stage: Fleet, upstream: str = "u") -> KeyPool:
    found = stage.stats.upstreams[upstream].keys
    assert isinstance(found, KeyPool)
    return found


def states(stage: Fleet, now: float = 0.0) -> dict[str, str]:
    return {key.name.removeprefix("key."): key.state(now) for key in pool(stage).keys}


async def asks(stage: Fleet, calls: int, *lines: bytes, model: str = "m") -> Counter[int]:
    client, counts = await stage.client(), Counter[int]()
    for _ in range(calls):
        counts[(await stage.gets(chat(model, *lines), client))[0]] += 1
    return counts


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize(
    ("bad", "left"),
    [
        (error(401, BAD_KEY), "refused"),
        (error(402, MONEY), "refused"),
        (error(403, NO_MODEL), "restricted"),
        (error(429, LIMIT, b"Retry-After: 1000"), "cooling"),
    ],
)
async def test_a_bad_key_costs_no_call_and_no_retry(bad: bytes, left: str, read: bool) -> None:
    provider = Provider(bad=bad)
    async with fleet(provider, keys("bad", "good"), policy={"read": read}) as stage:
        assert await asks(stage, 50) == {200: 50}
        counts = Counter(provider.keys)
        assert counts == {"bad": 1, "good": 50}
        assert states(stage, time.monotonic()) == {"bad": left, "good": "in_use"}
        assert stage.route.retries == {}
        assert stage.route.statuses == {200: 50}


@pytest.mark.parametrize(
    "bad",
    [
        error(429, MONEY),
        error(400, b'{"error":{"type":"x","message":"Your credit balance is too low"}}'),
        error(400, b'{"error":{"code":400,"status":"API_KEY_INVALID","message":"x"}}'),
        error(200, MONEY),
        sse(MONEY),
    ],
)
async def test_what_a_reply_says_of_its_key_counts_whatever_its_status(bad: bytes) -> None:
    provider = Provider(bad=bad)
    async with fleet(provider, keys("bad", "good")) as stage:
        request = chat("m", stream=True)
        for _ in range(20):
            assert (await stage.gets(request))[:2] == (200, b"u")
        assert Counter(provider.keys) == {"bad": 1, "good": 20}
        assert states(stage) == {"bad": "refused", "good": "in_use"}


@pytest.mark.parametrize("act", [status(500), status(404), error(400, b'{"error":{}}')])
async def test_what_is_not_the_keys_fault_leaves_it(act: bytes) -> None:
    provider = Provider(a=act, b=act)
    async with fleet(provider, keys("a", "b")) as stage:
        assert (await asks(stage, 20)).total() == len(provider.keys) == 20
        assert states(stage) == {"a": "in_use", "b": "in_use"}


async def test_network_errors_keep_the_key() -> None:
    provider = Scripted("u", always="reset")
    async with fleet(provider, keys("a", "b")) as stage:
        assert await asks(stage, 20) == {502: 20}
        assert states(stage) == {"a": "in_use", "b": "in_use"}
        assert sum(key.calls["failed"] for key in pool(stage).keys) == 20


@pytest.mark.parametrize("retries", [0, 2])
async def test_with_all_keys_limited_the_caller_gets_the_providers_429(retries: int) -> None:
    limit = error(429, LIMIT, b"Retry-After: 1000", b"X-Provider: yes")
    provider = Provider(a=limit, b=limit, c=limit)
    async with fleet(provider, keys("a", "b", "c"), retries=retries) as stage:
        code, body, reply = await stage.gets(chat("m", b"x-stainless-retry-count: 0"))
        assert (code, body) == (429, LIMIT)
        assert reply["retry-after"] == "1000"
        assert sorted(provider.keys) == ["a", "b", "c"]  # each once
        assert (await stage.gets(chat("m", b"x-stainless-retry-count: 0")))[0] == 429
        assert provider.calls == 4  # later calls ask once
        assert (await stage.gets(chat("n", b"x-stainless-retry-count: 0")))[0] == 429
        assert provider.calls == 7  # another model has its own limits


async def test_keys_of_one_quota_are_not_tried_one_after_another() -> None:
    limit = error(429, LIMIT, b"Retry-After: 1000")
    provider = Provider(a=limit, b=limit, c=limit)
    async with fleet(provider, [*keys("a", "b", quota="q"), *keys("c")]) as stage:
        assert await asks(stage, 1) == {429: 1}
        assert provider.calls == 2


async def test_a_hopeless_attempt_falls_back_after_the_last_key() -> None:
    provider, b = Provider(a=error(401, BAD_KEY), b=error(429, MONEY)), Scripted("b")
    async with fleet(
        provider, keys("a", "b"), b, route={"fallback": [{"upstream": "b"}], "fallback_on": ["401"]}
    ) as stage:
        assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert sorted(provider.keys) == ["a", "b"]
        assert b"Bearer" not in b.requests[0]


async def test_each_fallback_has_its_own_keys() -> None:
    a, b = Provider("a", a=status(500)), Provider("b", x=error(401, BAD_KEY))
    known = upstreams(a=a, b=b)
    known["a"]["credentials"], known["b"]["credentials"] = keys("a"), keys("x", "y")
    routes = [{"name": "r", "upstream": "a", "fallback": [{"upstream": "b"}]}]
    async with Fleet(a, b, upstreams=known, routes=routes, policy={"retry": {"max": 0}}) as stage:
        for _ in range(10):
            assert (await stage.gets(chat()))[:2] == (200, b"b")
        assert Counter(b.keys) == {"x": 1, "y": 10}


async def test_a_hedge_has_a_key_of_its_own() -> None:
    provider = Provider(bad=error(401, BAD_KEY))
    hedge = {"hedge": {"after": "1ms", "budget": {"ratio": "100%"}}}
    async with fleet(provider, keys("bad", "good"), policy=hedge) as stage:
        assert await asks(stage, 20) == {200: 20}
        assert states(stage)["bad"] == "refused"


async def test_a_streamed_body_is_not_sent_twice() -> None:
    provider = Provider(a=error(401, BAD_KEY), b=error(401, BAD_KEY))
    async with fleet(provider, keys("a", "b"), policy={"hold": "1KiB"}) as stage:
        client, request = await stage.client(), chat(content="x" * 5000)
        await client.sends(request[:3000])
        await until(lambda: stage.endpoint.in_flight == 1)
        await client.sends(request[3000:])
        assert (await client.reply()).status == 401
        assert provider.calls == 1


async def test_a_conversation_stays_on_its_key_while_it_can() -> None:
    provider = Provider()
    async with fleet(provider, keys("a", "b", "c", "d")) as stage:
        seen = {}
        for n in range(20):
            start = provider.calls
            line = b"x-claude-code-session-id: session-%d" % n
            assert await asks(stage, 3, line) == {200: 3}
            (seen[n],) = set(provider.keys[start:])
        assert len(set(seen.values())) > 1
        gone = seen[0]
        provider.by_key[gone] = error(429, LIMIT, b"Retry-After: 1000")
        for n, key in seen.items():
            assert await asks(stage, 2, b"x-claude-code-session-id: session-%d" % n) == {200: 2}
            (now,) = set(provider.keys[-1:])
            assert (now == key) == (key != gone)


async def test_a_prompt_cache_key_keeps_its_key() -> None:
    provider = Provider()
    async with fleet(provider, keys("a", "b", "c", "d")) as stage:
        for n in range(10):
            start = provider.calls
            for _ in range(4):
                request = chat(prompt_cache_key=f"cache-{n}")
                assert (await stage.gets(request))[0] == 200
            assert len(set(provider.keys[start:])) == 1
        assert len(set(provider.keys)) > 1


async def test_a_changed_file_brings_a_key_back(tmp_path: Path) -> None:
    file, provider = tmp_path / "key", Provider(old=error(401, BAD_KEY))
    file.write_text("old\n")
    pooled = keys("good")
    pooled.append({"header": "authorization", "value": f"Bearer ${{file:{file}}}", "weight": 1000})
    async with fleet(provider, pooled) as stage:
        assert await asks(stage, 10) == {200: 10}
        assert states(stage) == {"good": "in_use", "key-2": "refused"}
        await stage.apply()  # a reload alone does not
        assert states(stage) == {"good": "in_use", "key-2": "refused"}
        file.write_text("new\n")
        await stage.apply()
        assert states(stage) == {"good": "in_use", "key-2": "in_use"}
        assert await asks(stage, 10) == {200: 10}
        assert "new" in provider.keys[-10:]
        assert Counter(provider.keys)["old"] == 1


async def test_an_operator_brings_a_key_back() -> None:
    provider = Provider(a=error(401, BAD_KEY), b=error(401, BAD_KEY), c=b"")
    del provider.by_key["c"]
    async with fleet(provider, keys("a", "b", "c")) as stage:
        assert await asks(stage, 30) == {200: 30}
        provider.by_key.clear()
        assert pool(stage).restore("key.a") == 1
        assert states(stage) == {"a": "in_use", "b": "refused", "c": "in_use"}
        assert await asks(stage, 30) == {200: 30}
        assert Counter(provider.keys[-30:])["b"] == 0 < Counter(provider.keys[-30:])["a"]


async def test_with_every_key_refused_one_that_works_again_is_found() -> None:
    provider = Provider(a=error(401, BAD_KEY), b=error(401, BAD_KEY))
    async with fleet(provider, keys("a", "b")) as stage:
        assert await asks(stage, 5) == {401: 5}
        assert provider.calls == 6
        provider.by_key.clear()
        assert await asks(stage, 5) == {200: 5}
        assert sorted(states(stage).values()) == ["in_use", "refused"]


async def test_keys_in_different_headers_hide_the_callers() -> None:
    provider = Scripted("u", error(401, BAD_KEY))
    pooled = [
        {"header": "authorization", "value": "Bearer one"},
        {"header": "api-key", "value": "two"},
    ]
    async with fleet(provider, pooled) as stage:
        request = chat("m", b"Authorization: Bearer mine", b"API-Key: mine")
        assert (await stage.gets(request))[0] == 200
        assert all(b"mine" not in sent for sent in provider.requests)
        assert len(provider.requests) == 2
        for sent in provider.requests:
            assert (b"Bearer one" in sent) != (b"api-key: two" in sent)


async def test_trace_is_refused() -> None:
    provider = Scripted("u")
    async with fleet(provider, keys("a", "b")) as stage:
        assert (await stage.gets(b"TRACE /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 405
        assert provider.calls == 0


async def test_neither_log_nor_metrics_nor_admin_show_a_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "sk_secret_0123456789abcdef"
    provider = Provider()
    provider.by_key[secret] = error(401, BAD_KEY)
    async with fleet(provider, keys(secret, name="one") + keys("good", name="two")) as stage:
        assert await asks(stage, 20) == {200: 20}
        shown = json.dumps(pool(stage).shown(0.0))
        assert json.loads(shown)[0]["ends"] == "…cdef"
        assert "secret" not in shown
        told = [record for record in caplog.records if "provider refuses" in record.message]
        assert [(r.__dict__["upstream"], r.__dict__["key"]) for r in told] == [("u", "one")]
        assert all("secret" not in repr(record.__dict__) for record in caplog.records)


async def test_a_reload_to_one_key_shows_no_pool_any_more() -> None:
    provider = Provider()
    async with fleet(provider, keys("a", "b")) as stage:
        assert await asks(stage, 1) == {200: 1}
        stage.config["upstreams"]["u"]["credentials"] = keys("a")[0] | {"name": None}
        del stage.config["upstreams"]["u"]["credentials"]["name"]
        await stage.apply()
        assert stage.stats.upstreams["u"].keys is None
        assert await asks(stage, 1) == {200: 1}
