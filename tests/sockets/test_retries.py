"""What is tried again, where, how often, and what the caller sees of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.sockets.peers import CHUNKED_OK, GET, chunk, post, until
from tests.sockets.scripted import Act, Fleet, Scripted, chat, status

RETRIED: list[tuple[Act, str]] = [
    (status(500), "500"),
    (status(502), "502"),
    (status(503), "503"),
    (status(429), "429"),
    (status(408), "408"),
    ("reset", "upstream_reset"),
    ("close", "upstream_reset"),
    ("hang", "first_byte_timeout"),
]


@pytest.mark.parametrize(("act", "reason"), RETRIED)
async def test_a_failure_is_tried_again_elsewhere(act: Act, reason: str) -> None:
    bad, well = Scripted("bad", always=act), Scripted("well")
    async with Fleet(bad, well, timeouts={"first_byte": "100ms"}) as fleet:
        for _ in range(4):
            assert (await fleet.gets(chat()))[:2] == (200, b"well")
        assert fleet.route.retries == {reason: bad.calls}
        assert 1 <= bad.calls <= 4
        assert fleet.route.statuses == {200: 4}


async def test_an_upstream_that_forbids_it_is_heeded() -> None:
    one = Scripted("one", status(500, b"x-should-retry: false"))
    async with Fleet(one) as fleet:
        got, _, reply = await fleet.gets(chat())
        assert (got, one.calls, reply["x-should-retry"]) == (500, 1, "false")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
async def test_what_the_caller_caused_is_handed_on(code: int) -> None:
    async with Fleet(Scripted("one", always=status(code, b"x-why: you", body=b"{}"))) as fleet:
        got, body, reply = await fleet.gets(chat())
        assert (got, body, reply["x-why"]) == (code, b"{}", "you")
        assert fleet.fleet[0].calls == 1
        assert not fleet.route.retries


async def test_an_endpoint_where_nobody_listens() -> None:
    gone, well = Scripted("gone"), Scripted("well")
    async with Fleet(gone, well) as fleet:
        gone.stops()
        for _ in range(6):
            assert (await fleet.gets(chat()))[:2] == (200, b"well")
        assert fleet.route.retries["connect_failed"] >= 2


async def test_the_last_reply_is_handed_on_as_it_is() -> None:
    fail = status(503, b"retry-after-ms: 1", b"x-ratelimit-remaining: 0", body=b'{"error": 1}')
    one, two = Scripted("one", always=fail), Scripted("two", always=fail)
    async with Fleet(one, two) as fleet:
        got, body, reply = await fleet.gets(chat())
        assert (got, body) == (503, b'{"error": 1}')
        assert (reply["retry-after-ms"], reply["x-ratelimit-remaining"]) == ("1", "0")
        assert one.calls + two.calls == 3
        assert not reply["x-sidecar-error"]
        assert not reply["x-should-retry"]  # the budget would have had more


async def test_each_attempt_sends_the_same_body_and_another_span() -> None:
    one = Scripted("one", status(500), status(500))
    async with Fleet(one) as fleet:
        request = chat("m", content="x" * 5000)
        assert (await fleet.gets(request))[0] == 200
        bodies = {sent.partition(b"\r\n\r\n")[2] for sent in one.requests}
        assert bodies == {request.partition(b"\r\n\r\n")[2]}
        spans = [
            line for sent in one.requests for line in sent.split(b"\r\n") if b"traceparent" in line
        ]
        assert len(set(spans)) == 3
        assert len({span.split(b"-")[1] for span in spans}) == 1


async def test_nothing_is_tried_again_after_the_first_byte() -> None:
    begun = CHUNKED_OK + chunk(b"some")
    one, two = Scripted("one", begun), Scripted("two")
    async with Fleet(one, two, timeouts={"idle": "50ms"}) as fleet:
        one.acts, two.acts = [begun], [begun]
        client = await fleet.client()
        await client.sends(chat())
        await client.until(b"some")
        await client.is_cut()
        assert one.calls + two.calls == 1
        assert fleet.route.errors == {"idle_timeout": 1}
        assert not fleet.route.retries


async def test_a_body_that_streamed_is_not_sent_again() -> None:
    one = Scripted("one", "reset")
    async with Fleet(one, policy={"hold": "1KiB"}) as fleet:
        client = await fleet.client()
        await client.sends(post(5000) + bytes(2000))
        await until(lambda: fleet.endpoint.bytes_out)
        await client.sends(bytes(3000))
        reply = await client.reply()
        assert (reply.status, reply.code) == (502, "upstream_reset")
        assert not fleet.route.retries


@pytest.mark.parametrize(("methods", "retried"), [(["GET"], False), (["POST"], True)])
async def test_methods(methods: list[str], retried: bool) -> None:
    one = Scripted("one", status(500))
    async with Fleet(one, policy={"retry": {"methods": methods}}) as fleet:
        assert (await fleet.gets(chat()))[0] == (200 if retried else 500)


async def test_conditions_are_settable() -> None:
    one = Scripted("one", status(404), status(500))
    async with Fleet(one, policy={"retry": {"on": ["404"]}}) as fleet:
        assert (await fleet.gets(chat()))[0] == 500
        assert one.calls == 2
        assert fleet.route.retries == {"404": 1}


async def test_garbage_is_tried_again_unless_that_is_not_wanted() -> None:
    one = Scripted("one", *[b"what?\r\n\r\n"] * 2)
    async with Fleet(one) as fleet:
        assert (await fleet.gets(chat()))[:2] == (200, b"one")
        assert fleet.route.retries == {"bad_reply": 2}
        one.acts = [b"what?\r\n\r\n"]
        fleet.config["policies"]["default"]["retry"]["on"] = ["5xx"]
        await fleet.apply()
        assert (await fleet.gets(chat()))[2].code == "bad_reply"


# -- waiting --


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    one = Scripted("one", status(429, b"Retry-After: 0.2"))
    async with Fleet(one) as fleet:
        began = asyncio.get_running_loop().time()
        assert (await fleet.gets(chat()))[0] == 200
        # uvloop's clock counts whole milliseconds.
        assert asyncio.get_running_loop().time() - began > 0.198


async def test_a_wait_that_is_too_long_is_for_the_caller() -> None:
    one = Scripted("one", status(429, b"Retry-After: 20"))
    async with Fleet(one) as fleet:
        got, _, reply = await fleet.gets(chat())
        assert (got, reply["retry-after"]) == (429, "20")
        assert one.calls == 1


async def test_attempts_lie_inside_the_deadline() -> None:
    one = Scripted("one", always="hang")
    timeouts = {"first_byte": "60ms", "total": "150ms"}
    async with Fleet(one, timeouts=timeouts, policy={"retry": {"max": 10}}) as fleet:
        reply = (await fleet.gets(chat()))[2]
        assert (reply.status, reply.code) == (504, "total_timeout")
        assert one.calls == 3
        await until(lambda: one.broken == 3)


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    one = Scripted("one", status(503, b"Retry-After: 1"))
    async with Fleet(one, timeouts={"total": "500ms"}) as fleet:
        assert (await fleet.gets(chat()))[0] == 503


async def test_a_caller_that_leaves_between_attempts() -> None:
    one = Scripted("one", status(503, b"Retry-After: 1"))
    async with Fleet(one) as fleet:
        client = await fleet.client()
        await client.sends(chat())
        await until(lambda: fleet.route.retries)
        client.closes()
        await fleet.is_at_rest()
        assert one.calls == 1
        assert fleet.route.errors == {"caller_left": 1}


# -- the budget --

NO_FLOOR = {"ratio": "20%", "min_per_second": 0}


async def test_a_failing_upstream_sees_a_fifth_more() -> None:
    one = Scripted("one", always=status(500))
    policy = {"retry": {"max": 10, "budget": NO_FLOOR}, "breaker": None}
    async with Fleet(one, policy=policy) as fleet:
        client = await fleet.client()
        replies = [(await fleet.gets(chat(), client))[2] for _ in range(100)]
        assert {reply.status for reply in replies} == {500}
        assert one.calls == 120
        told = [reply["x-should-retry"] for reply in replies]
        assert set(told[24:]) == {"false"}  # by then it is known that all of it fails
        assert fleet.route.budget_exhausted == 100


async def test_the_sdks_own_retries_are_counted() -> None:
    one = Scripted("one", always=status(500))
    policy = {"retry": {"max": 1, "budget": {"ratio": "100%", "min_per_second": 0}}}
    async with Fleet(one, policy=policy | {"breaker": None}) as fleet:
        client = await fleet.client()
        await fleet.gets(chat(), client)
        assert one.calls == 2
        await fleet.gets(chat("m", b"x-stainless-retry-count: 1"), client)
        assert one.calls == 3
        await fleet.gets(chat("m", b"x-stainless-retry-count: 0"), client)
        assert one.calls == 5


FAILS: list[tuple[Act, str]] = [(status(500), ""), ("reset", "upstream_reset")]


@pytest.mark.parametrize(("act", "code"), FAILS)
async def test_in_a_storm_the_sdk_is_told_not_to_try_again(act: Act, code: str) -> None:
    one = Scripted("one", always=act)
    policy = {"retry": {"budget": {"ratio": "0%", "min_per_second": 0}}, "breaker": None}
    async with Fleet(one, policy=policy) as fleet:
        replies = [(await fleet.gets(chat()))[2] for _ in range(30)]
        told = [reply["x-should-retry"] for reply in replies]
        assert told == [""] * 23 + ["false"] * 7  # 24 failures are no chance
        assert {reply.code for reply in replies} == {code}
        if code:
            assert json.loads(replies[0].body)["error"]["code"] == code


async def test_a_service_that_fails_now_and_then_is_worth_the_sdks_retry() -> None:
    one = Scripted("one")
    policy = {"retry": {"budget": {"ratio": "0%", "min_per_second": 0}}, "breaker": None}
    async with Fleet(one, policy=policy) as fleet:
        for _ in range(60):
            one.acts = [status(500), status(200)]
            assert not (await fleet.gets(chat()))[2]["x-should-retry"]
            assert (await fleet.gets(chat()))[0] == 200


async def test_a_rate_limit_never_forbids_a_retry() -> None:
    one = Scripted("one", always=status(429, b"Retry-After: 20"))
    policy = {"retry": {"budget": {"ratio": "0%", "min_per_second": 0}}, "breaker": None}
    async with Fleet(one, policy=policy) as fleet:
        for count in range(60):
            request = chat("m", b"x-stainless-retry-count: %d" % (count % 3))
            got, _, reply = await fleet.gets(request)
            assert (got, reply["retry-after"], reply["x-should-retry"]) == (429, "20", "")


# -- rate limits --

LIMITED = status(429, b"Retry-After: 1")
SDK = chat("m", b"x-stainless-retry-count: 0", b"x-stainless-read-timeout: 600")


async def test_another_endpoint_takes_it_at_once() -> None:
    one, two = Scripted("one"), Scripted("two")
    async with Fleet(one, two) as fleet:
        one.always = two.always = LIMITED
        one.acts, two.acts = [status(200)], [status(200)]  # one call each: it is their turn again
        for _ in range(2):
            await fleet.gets(SDK)
        one.always = None
        assert {(await fleet.gets(SDK))[:2] for _ in range(6)} == {(200, b"one")}
        assert two.calls <= 2  # it asked for a second of peace


async def test_an_sdk_that_obeys_by_itself_is_not_held_back() -> None:
    one = Scripted("one", always=LIMITED)
    async with Fleet(one) as fleet:
        got, _, reply = await fleet.gets(SDK)
        assert (got, reply["retry-after"], reply["x-should-retry"]) == (429, "1", "")
        assert one.calls == 1


async def test_what_all_endpoints_refuse_is_handed_on_too() -> None:
    one, two = Scripted("one", always=LIMITED), Scripted("two", always=LIMITED)
    async with Fleet(one, two) as fleet:
        assert (await fleet.gets(SDK))[0] == 429
        assert one.calls == two.calls == 1
        assert (await fleet.gets(SDK))[0] == 429
        assert one.calls + two.calls == 3


async def test_a_trusted_caller_that_asks_for_retries_gets_them() -> None:
    one = Scripted("one", status(429, b"Retry-After: 0.1"))
    trusted = {"trust": {"headers": True}}
    async with Fleet(one, listener=trusted) as fleet:
        request = chat("m", b"x-stainless-retry-count: 0", b"x-sidecar-retries: 1")
        assert (await fleet.gets(request))[:2] == (200, b"one")


async def test_a_wait_beyond_the_sdks_patience_is_not_begun() -> None:
    one = Scripted("one", always=status(503, b"Retry-After: 1"))
    trusted = {"trust": {"headers": True}}
    async with Fleet(one, listener=trusted) as fleet:
        lines = b"x-stainless-read-timeout: 0.9", b"x-sidecar-retries: 2"
        assert (await fleet.gets(chat("m", *lines)))[0] == 503
        assert one.calls == 1


async def test_another_upstream_takes_it_at_once() -> None:
    one, two = Scripted("one", always=LIMITED), Scripted("two")
    async with Fleet(
        one,
        upstreams={each.name: {"endpoints": [{"url": each.url}]} for each in (one, two)},
        routes=[{"name": "r", "upstream": "one", "fallback": [{"upstream": "two"}]}],
    ).beside(two) as fleet:
        assert (await fleet.gets(chat()))[:2] == (200, b"two")
        assert one.calls == 1


async def test_the_retries_that_a_limit_asks_for_cost_no_budget() -> None:
    one = Scripted("one", always=LIMITED)
    policy = {"retry": {"max": 1, "budget": {"ratio": "100%", "min_per_second": 0}}}
    async with Fleet(one, policy=policy | {"breaker": None}) as fleet:
        client = await fleet.client()
        for count in range(3):
            request = chat("m", b"x-stainless-retry-count: %d" % count)
            assert (await fleet.gets(request, client))[0] == 429
        one.always = status(500)
        for _ in range(3):  # as many as there were calls
            before = one.calls
            assert (await fleet.gets(chat(), client))[0] == 500
            assert one.calls == before + 2


async def test_the_budget_outlives_a_reload() -> None:
    one = Scripted("one", always=status(500))
    policy = {"retry": {"max": 1, "budget": NO_FLOOR}, "breaker": None}
    async with Fleet(one, policy=policy) as fleet:
        for _ in range(4):
            await fleet.gets(chat())
        fleet.config["policies"]["default"]["timeouts"] = {"connect": "4s"}
        await fleet.apply()
        assert one.calls == 4
        await fleet.gets(chat())  # a fifth of five
        assert one.calls == 6


async def test_a_request_without_a_body_is_tried_again() -> None:
    one = Scripted("one", status(503))
    async with Fleet(one) as fleet:
        assert (await fleet.gets(GET))[0] == 200
