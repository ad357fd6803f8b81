"""Who may call, and what is known of callers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from sidecar.policy.access import FAILURES
from tests.sockets.scripted import Fleet, Scripted, chat

KEYS = {"billing": b"key-of-billing", "search": b"key-of-search"}
CALLERS = {name: [f"sha256:{hashlib.sha256(key).hexdigest()}"] for name, key in KEYS.items()}
ACCESS: dict[str, Any] = {"access": {"callers": CALLERS}}


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer key-of-billing",
        b"authorization: bearer  key-of-billing",
        b"x-api-key: key-of-billing",
        b"api-key: key-of-billing",
        b"x-goog-api-key: key-of-billing",
        b"X-Sidecar-Key: key-of-billing",
    ],
)
async def test_a_key_names_its_caller_and_stays_here(line: bytes) -> None:
    server = Scripted("one")
    async with Fleet(server, listener=ACCESS) as stage:
        assert (await stage.gets(chat("m", line)))[0] == 200
        assert b"key-of-billing" not in server.requests[0]
        assert line.partition(b":")[0].lower() not in server.requests[0].lower()


async def test_a_key_of_ours_leaves_the_providers_alone() -> None:
    server = Scripted("one")
    lines = (b"x-sidecar-key: key-of-search", b"Authorization: Bearer sk-theirs")
    async with Fleet(server, listener=ACCESS) as stage:
        assert (await stage.gets(chat("m", *lines)))[0] == 200
        assert b"Bearer sk-theirs" in server.requests[0]
        assert b"key-of-search" not in server.requests[0]


async def test_others_are_refused_in_the_apis_words_before_anything_is_sent() -> None:
    server = Scripted("one")
    async with Fleet(server, listener=ACCESS) as stage:
        for line, reason in ((b"a: b", "missing"), (b"Authorization: Bearer x", "wrong")):
            status, body, reply = await stage.gets(chat("m", line))
            assert (status, reply.code) == (401, "unauthorized")
            assert reply["www-authenticate"] == "Bearer"
            assert reason in json.loads(body)["error"]["message"]
        client = await stage.client()
        await client.sends(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf")
        assert (await client.reply()).status == 401
        listener = next(iter(stage.stats.listeners.values()))
        assert listener.denied == {"missing": 2, "wrong": 1}
        assert not server.calls


async def test_failures_are_limited_and_right_keys_are_not() -> None:
    async with Fleet(Scripted("one"), listener=ACCESS) as stage:
        client = await stage.client()
        wrong = chat("m", b"x-api-key: wrong")
        codes = [(await stage.gets(wrong, client))[0] for _ in range(FAILURES)]
        assert codes == [401] * FAILURES
        status, _, reply = await stage.gets(wrong, client)
        assert (status, reply.code) == (429, "access_limited")
        assert int(reply["retry-after"]) >= 1
        assert (await stage.gets(chat("m", b"x-api-key: key-of-search"), client))[0] == 200


async def test_limits_go_by_the_caller() -> None:
    policy = {"limits": {"client": {"rate": {"per_second": 0.001, "burst": 1}}}}
    async with Fleet(Scripted("one"), listener=ACCESS, policy=policy) as stage:
        for line in (b"x-api-key: key-of-billing", b"x-api-key: key-of-search"):
            assert (await stage.gets(chat("m", line)))[0] == 200
            assert (await stage.gets(chat("m", line)))[0] == 429


async def test_a_reload_changes_who_may_call() -> None:
    async with Fleet(Scripted("one"), listener=ACCESS) as stage:
        client = await stage.client()
        asked = chat("m", b"x-api-key: key-of-billing")
        assert (await stage.gets(asked, client))[0] == 200
        listener = stage.config["listeners"][0]
        listener["access"] = {"callers": {"search": CALLERS["search"]}}
        await stage.apply()
        assert (await stage.gets(asked, client))[0] == 401
        listener["access"] = None
        await stage.apply()
        assert (await stage.gets(asked, client))[0] == 200
