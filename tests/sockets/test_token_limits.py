"""Limits on tokens: who is let in, what is settled, who waits, and who goes elsewhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sidecar.observe.numbers import TokenNumbers
from tests.sockets.peers import chunk, until
from tests.sockets.scripted import Cut, Fleet, Scripted, chat, status
from tests.sockets.test_fallbacks import fleet


def said(input_: int, output: int) -> bytes:
    """A whole reply with its usage."""
    usage = {"prompt_tokens": input_, "completion_tokens": output}
    body = {
        "id": "1", "object": "chat.completion", "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}],
    }  # fmt: skip
    return status(200, b"Content-Type: application/json", body=json.dumps(body).encode())


def pieces(count: int) -> bytes:
    """The beginning of a stream."""
    event = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"x"}}]}\n\n'
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + chunk(event) * count


def limited(**tokens: Any) -> dict[str, Any]:
    return {"limits": {"tokens": tokens}, "retry": {"max": 0}}


def numbers(stage: Fleet, upstream: str = "u") -> TokenNumbers:
    (found,) = [of for (_, name), of in stage.stats.token_limits.items() if name == upstream]
    return found


def used(stage: Fleet, upstream: str = "u") -> tuple[int, int, int]:
    counts = numbers(stage, upstream).used
    return counts["requests"], counts["input"], counts["output"]


async def test_what_a_call_used_takes_the_place_of_what_it_reserved() -> None:
    one = Scripted("one", always=said(10, 20))
    async with Fleet(one, policy=limited(output=100)) as stage:
        got = [(await stage.gets(chat(max_tokens=50)))[0] for _ in range(3)]
        assert got == [200, 200, 200]
        assert used(stage) == (3, 30, 60)
        status_, body, reply = await stage.gets(chat(max_tokens=50))
        assert (status_, reply.code) == (429, "tokens_limited")
        error = json.loads(body)["error"]
        assert error["code"] == "tokens_limited"
        assert "this route has a limit of 100 output tokens a minute" in error["message"]
        assert 1 <= int(reply["retry-after"]) <= 61
        assert stage.route.limited == {"tokens_limited": 1}
        assert numbers(stage).refused["output"] == 1
        assert set(numbers(stage).reserved.values()) == {0}


async def test_calls_at_once_can_not_reserve_more_than_there_is() -> None:
    one = Scripted("one", always="wait")
    async with Fleet(one, policy=limited(output=100)) as stage:
        clients = [await stage.client() for _ in range(8)]
        for client in clients:
            await client.sends(chat(max_tokens=30))
        await until(lambda: one.calls == 3)
        await until(lambda: stage.route.limited["tokens_limited"] == 5)
        assert numbers(stage).reserved["output"] == 90
        one.answer = said(10, 20)
        one.gate.set()
        statuses = sorted([(await client.reply()).status for client in clients])
        assert statuses == [200] * 3 + [429] * 5
        assert used(stage) == (3, 30, 60)


async def test_without_a_bound_what_answers_usually_have_is_reserved() -> None:
    one = Scripted("one", said(10, 7), "wait", "wait")
    async with Fleet(one, policy=limited(output=100)) as stage:
        assert (await stage.gets(chat()))[0] == 200  # nothing is known: the guess is cut to 100
        clients = [await stage.client() for _ in range(2)]
        for client in clients:
            await client.sends(chat())
        await until(lambda: one.calls == 3)
        assert numbers(stage).reserved["output"] == 14
        one.gate.set()
        for client in clients:
            await client.reply()


async def test_a_call_that_is_larger_than_the_limit_is_told_not_to_come_again() -> None:
    async with Fleet(Scripted("one"), policy=limited(output=100, when_exceeded="wait")) as stage:
        got, body, reply = await stage.gets(chat(max_tokens=101))
        assert (got, reply.code, reply["retry-after"]) == (429, "tokens_limited", "")
        assert reply["x-should-retry"] == "false"
        assert b"larger than 100 output tokens a minute, the limit" in body


async def test_errors_use_no_tokens_and_what_never_was_sent_uses_nothing() -> None:
    one = Scripted("one", status(500), status(400))
    async with Fleet(one, policy=limited(output=100, requests=9)) as stage:
        assert (await stage.gets(chat(max_tokens=60)))[0] == 500
        assert (await stage.gets(chat(max_tokens=60)))[0] == 400
        assert used(stage) == (2, 0, 0)
        one.stops()
        for peer in one.peers:
            peer.closes()
        await asyncio.gather(*one._own, return_exceptions=True)
        assert (await stage.gets(chat(max_tokens=60)))[0] == 502
        assert used(stage) == (2, 0, 0)


async def test_every_attempt_counts() -> None:
    one = Scripted("one", status(500), said(10, 20))
    policy = limited(output=100) | {"retry": {"max": 1}}
    async with Fleet(one, policy=policy) as stage:
        assert (await stage.gets(chat(max_tokens=60)))[0] == 200
        assert used(stage) == (2, 10, 20)


async def test_a_stream_that_is_left_or_breaks_counts_what_came() -> None:
    one = Scripted("one", Cut(pieces(5)), pieces(7))
    async with Fleet(one, policy=limited(output=1000)) as stage:
        client = await stage.client()
        await client.sends(chat(max_tokens=60, stream=True))
        await client.rest()
        await until(lambda: used(stage)[2] == 5)
        client = await stage.client()
        await client.sends(chat(max_tokens=60, stream=True))
        await client.until(b"content")
        client.closes()
        await until(lambda: used(stage)[0] == 2)
        assert used(stage)[2] == 12
        assert numbers(stage).reserved["output"] == 0


async def test_who_leaves_before_the_reply_counts_as_reserved() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, policy=limited(output=1000)) as stage:
        client = await stage.client()
        await client.sends(chat(max_tokens=60))
        await until(lambda: one.calls == 1)
        client.closes()
        await until(lambda: used(stage)[0] == 1)
        assert used(stage)[2] == 60


async def test_a_reply_without_usage_counts_as_reserved() -> None:
    async with Fleet(Scripted("one"), policy=limited(output=1000)) as stage:
        assert (await stage.gets(chat(max_tokens=60)))[0] == 200
        assert used(stage) == (1, len(chat(max_tokens=60).partition(b"\r\n\r\n")[2]) // 4, 60)


async def test_who_waits_goes_when_others_used_less() -> None:
    one = Scripted("one", "wait")
    policy = limited(output=100, when_exceeded="wait", max_wait="90s", max_waiting=1)
    async with Fleet(one, policy=policy) as stage:
        first, second = await stage.client(), await stage.client()
        await first.sends(chat(max_tokens=60))
        await until(lambda: one.calls == 1)
        await second.sends(chat(max_tokens=60))
        await until(lambda: numbers(stage).waiting == 1)
        assert (await stage.gets(chat(max_tokens=60)))[0] == 429  # the queue is full
        one.answer = one.always = said(10, 20)
        one.gate.set()
        assert (await first.reply()).status == (await second.reply()).status == 200
        assert numbers(stage).waiting == 0


async def test_who_leaves_while_it_waits_reserves_nothing() -> None:
    one = Scripted("one", "wait")
    policy = limited(output=100, when_exceeded="wait", max_wait="90s")
    async with Fleet(one, policy=policy) as stage:
        first, second = await stage.client(), await stage.client()
        await first.sends(chat(max_tokens=60))
        await until(lambda: one.calls == 1)
        await second.sends(chat(max_tokens=60))
        await until(lambda: numbers(stage).waiting == 1)
        second.closes()
        await until(lambda: numbers(stage).waiting == 0)
        assert numbers(stage).reserved["output"] == 60
        one.gate.set()
        await first.reply()


async def test_who_would_wait_too_long_is_told_at_once() -> None:
    one = Scripted("one", always=said(10, 60))
    policy = limited(output=100, when_exceeded="wait", max_wait="90s")
    async with Fleet(one, policy=policy | {"timeouts": {"total": "5s"}}) as stage:
        assert (await stage.gets(chat(max_tokens=60)))[0] == 200
        assert (await stage.gets(chat(max_tokens=60)))[2].code == "tokens_limited"
    policy = limited(output=100, when_exceeded="wait", max_wait="1s")
    async with Fleet(Scripted("one", always=said(10, 60)), policy=policy) as stage:
        assert (await stage.gets(chat(max_tokens=60)))[0] == 200
        assert (await stage.gets(chat(max_tokens=60)))[2].code == "tokens_limited"


async def test_what_does_not_fit_goes_to_the_fallback_which_has_its_own_limit() -> None:
    a, b = Scripted("a", always=said(10, 20)), Scripted("b", always=said(10, 20))
    policy = limited(requests=1, when_exceeded="fallback")
    async with fleet({"fallback": [{"upstream": "b"}]}, a, b, policy=policy) as stage:
        got = [(await stage.gets(chat()))[2] for _ in range(3)]
        assert [reply.status for reply in got] == [200, 200, 429]
        assert (got[2].code, a.calls, b.calls) == ("tokens_limited", 1, 1)
        assert int(got[2]["retry-after"]) > 0
        assert numbers(stage, "a").refused["requests"] == 2
        assert numbers(stage, "b").refused["requests"] == 1


@pytest.mark.parametrize("exceeded", ["refuse", "wait"])
async def test_a_refusal_is_no_reason_for_a_fallback_unless_it_says_so(exceeded: str) -> None:
    a, b = Scripted("a", always=said(10, 20)), Scripted("b")
    policy = limited(requests=1, when_exceeded=exceeded, max_wait="1s")
    async with fleet({"fallback": [{"upstream": "b"}]}, a, b, policy=policy) as stage:
        assert [(await stage.gets(chat()))[0] for _ in range(2)] == [200, 429]
        assert b.calls == 0


async def test_keys_and_models_count_for_themselves() -> None:
    one = Scripted("one", always=said(10, 20))
    policy = limited(client={"by": "key", "requests": 2}, model={"requests": 3})
    async with Fleet(one, policy=policy) as stage:
        a, b = b"Authorization: Bearer a", b"x-api-key: b"
        asked = [("m", a), ("m", a), ("m", a), ("m", b), ("m", b), ("n", b), ("n", b)]
        got = [(await stage.gets(chat(model, key)))[0] for model, key in asked]
        assert got == [200, 200, 429, 200, 429, 200, 429]
        assert numbers(stage).refused["requests"] == 3


async def test_anthropics_bound_is_not_reserved_and_its_cache_reads_are_free() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 900, "output_tokens": 20}
    body = {"type": "message", "id": "1", "model": "m", "content": [], "usage": usage}
    head = b"Content-Type: application/json"
    one = Scripted("one", always=status(200, head, body=json.dumps(body).encode()))
    policy = limited(output=1000, input=100)
    async with Fleet(one, policy=policy, upstream={"dialect": "anthropic"}) as stage:
        asks = chat(max_tokens=32000).replace(b"/v1/chat/completions", b"/v1/messages")
        for _ in range(3):
            assert (await stage.gets(asks))[0] == 200
        assert used(stage) == (3, 15, 60)


async def test_what_was_used_survives_a_reload_and_limits_that_go_leave_nothing() -> None:
    one = Scripted("one", always=said(10, 20))
    async with Fleet(one, policy=limited(requests=1)) as stage:
        assert [(await stage.gets(chat()))[0] for _ in range(2)] == [200, 429]
        policy = stage.config["policies"]["default"]
        policy["limits"]["tokens"]["requests"] = 2
        await stage.apply()
        assert [(await stage.gets(chat()))[0] for _ in range(2)] == [200, 429]
        del policy["limits"]
        await stage.apply()
        assert (await stage.gets(chat()))[0] == 200
        assert stage.stats.token_limits == {}


async def test_a_reload_lets_those_go_that_fit_now() -> None:
    one = Scripted("one", always=said(10, 20))
    policy = limited(requests=1, when_exceeded="wait", max_wait="90s")
    async with Fleet(one, policy=policy) as stage:
        assert (await stage.gets(chat()))[0] == 200
        client = await stage.client()
        await client.sends(chat())
        await until(lambda: numbers(stage).waiting == 1)
        stage.config["policies"]["default"]["limits"]["tokens"]["requests"] = 2
        await stage.apply()
        assert (await client.reply()).status == 200


async def test_aborts_and_answers_in_any_order_leave_nothing_reserved() -> None:
    one = Scripted("one", always="wait")
    one.answer = said(3, 4)
    policy = limited(output=200, when_exceeded="wait", max_wait="90s")
    async with Fleet(one, policy=policy) as stage:
        clients = [await stage.client() for _ in range(30)]
        for client in clients:
            await client.sends(chat(max_tokens=20))
        await until(lambda: one.calls + numbers(stage).waiting == 30)
        assert numbers(stage).reserved["output"] == 200
        for client in clients[::3]:
            client.closes()
        one.gate.set()
        for number, client in enumerate(clients):
            if number % 3:
                await asyncio.wait_for(client.reply(), 60)
        await until(lambda: not any(numbers(stage).reserved.values()))
        assert numbers(stage).waiting == 0
