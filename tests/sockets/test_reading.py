"""What is read of replies: tokens, verdicts, failures; and streams that wait until they speak."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sidecar.llm.dialects.openai_stream import OpenAIStream
from sidecar.llm.stream import StreamReader
from sidecar.observe.record import CallRecord
from tests.sockets.peers import EVENTS, Peer, Server, chunk, until
from tests.sockets.scripted import chat
from tests.sockets.stage import Stage

DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"
STREAM = chat("gpt-x", stream=True)
PRICES = {"gpt-*": {"input": 2, "output": 10, "cached": 1}}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c1", "model": "gpt-x-2", **fields}).encode() + b"\n\n"


def delta(index: int = 0, reason: str | None = None, **fields: Any) -> bytes:
    return event(choices=[{"index": index, "delta": fields, "finish_reason": reason}])


ROLE = delta(role="assistant", content="")
TEXT = delta(content="hello")
LAST = delta(reason="stop")
TOLD = event(choices=[], usage=USAGE)


class ReadStage(Stage):
    """A stage whose calls cost something, and whose records are kept."""

    def __init__(self, **sections: Any) -> None:
        super().__init__(**sections)
        self.config["prices"] = PRICES
        self.records: list[CallRecord] = []

    async def apply(self) -> None:
        await super().apply()
        self.serving.recorder.sinks = [self.records]

    async def record(self) -> CallRecord:
        await until(lambda: self.records)
        return self.records.pop()


@asynccontextmanager
async def called(
    request: bytes = STREAM, **sections: Any
) -> AsyncIterator[tuple[ReadStage, Peer, Peer]]:
    async with ReadStage(**sections) as stage:
        client, server = await stage.call(request)
        yield stage, client, server


def reply(body: bytes, status: int = 200, *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 %d X" % status, b"Content-Type: application/json", *lines]
    return b"\r\n".join((*head, b"Content-Length: %d" % len(body))) + b"\r\n\r\n" + body


WHOLE = json.dumps(
    {
        "id": "c1",
        "model": "gpt-x-2",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}],
        "usage": USAGE,
    }
).encode()


def check_usage(record: CallRecord) -> None:
    assert (record.operation, record.verdict, record.finish) == ("chat", "complete", "stop")
    assert (record.model_answered, record.response_id) == ("gpt-x-2", "c1")
    assert (record.input_tokens, record.cached_tokens) == (100, 40)
    assert (record.output_tokens, record.reasoning_tokens) == (20, 5)
    assert record.cost == pytest.approx((60 * 2 + 40 * 1 + 20 * 10) / 1e6)


# -- usage --


@pytest.mark.parametrize("packed", [False, True])
async def test_the_usage_of_a_reply_in_one_piece(packed: bool) -> None:
    async with called(chat("gpt-x")) as (stage, client, server):
        body = gzip.compress(WHOLE) if packed else WHOLE
        lines = [b"Content-Encoding: gzip"] if packed else []
        await server.sends(reply(body, 200, *lines))
        assert (await client.reply()).body == body
        check_usage(await stage.record())
        spent = stage.route.models.spent["gpt-x-2", ""]
        assert (spent.input, spent.cached, spent.output, spent.reasoning) == (100, 40, 20, 5)
        assert spent.cost > 0
        assert stage.route.models.asked["gpt-x"].outcomes == {"ok": 1, "failed": 0}
        assert stage.route.verdicts == {"complete": 1}
        assert stage.endpoint.verdicts == {"complete": 1}


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
async def test_the_usage_of_a_stream_split_anywhere(step: int) -> None:
    events = [ROLE, TEXT, TEXT, LAST, TOLD, DONE]
    async with called() as (stage, client, server):
        data = EVENTS + b"".join(map(chunk, events)) + END
        for at in range(0, len(data), step):
            await server.sends(data[at : at + step])
        assert (await client.reply()).body == b"".join(events)
        record = await stage.record()
        check_usage(record)
        assert record.first_token_ms > 0
        assert stage.route.models.asked["gpt-x"].first_token.total > 0


async def test_chunks_that_take_the_short_way_are_read() -> None:
    async with called() as (stage, client, server):
        await server.sends(EVENTS + chunk(ROLE + TEXT))
        await client.until(TEXT)
        for piece in (TEXT, TEXT, LAST, TOLD, DONE):
            await server.sends(chunk(piece))
            await client.until(piece)
        await server.sends(END)
        await client.until(END)
        check_usage(await stage.record())


async def test_what_we_ask_for_the_caller_does_not_see() -> None:
    async with called(upstream={"include_usage": True}) as (stage, client, server):
        sent = await server.until(b'"include_usage":true}')
        assert b'"stream_options":' in sent
        for piece in (EVENTS, chunk(ROLE), chunk(TEXT), chunk(LAST), chunk(TOLD), chunk(DONE), END):
            await server.sends(piece)
        assert (await client.reply()).body == ROLE + TEXT + LAST + DONE
        check_usage(await stage.record())


async def test_who_asks_for_the_usage_sees_it() -> None:
    asks = chat("gpt-x", stream=True, stream_options={"include_usage": True})
    async with called(asks, upstream={"include_usage": True}) as (stage, client, server):
        await server.sends(EVENTS + b"".join(map(chunk, (TEXT, LAST, TOLD, DONE))) + END)
        assert (await client.reply()).body == TEXT + LAST + TOLD + DONE
        check_usage(await stage.record())


async def test_only_codings_that_can_be_read_are_offered() -> None:
    async with Stage() as stage:
        for offered, asked in [
            (b"gzip, deflate, br, zstd", b"Accept-Encoding: gzip, deflate\r\n"),
            (b"br;q=1", b"Accept-Encoding: identity\r\n"),
            (b"gzip", b"Accept-Encoding: gzip\r\n"),
        ]:
            client = await stage.client()
            await client.sends(chat("m", b"Accept-Encoding: " + offered))
            server = await stage.accepts()
            head = await server.head()
            assert asked in head
            assert head.lower().count(b"accept-encoding") == 1
            client.closes()


async def test_where_nothing_is_read_nothing_is_told() -> None:
    async with called(chat("gpt-x"), policy={"read": False}) as (stage, client, server):
        await server.sends(reply(WHOLE))
        assert (await client.reply()).body == WHOLE
        record = await stage.record()
        assert (record.verdict, record.output_tokens) == ("", 0)
        assert not stage.route.verdicts


# -- verdicts --

CASES: list[tuple[list[bytes], str, str]] = [
    ([TEXT, LAST, DONE], "end", "complete"),
    ([TEXT, LAST], "end", "complete"),
    ([TEXT], "end", "truncated"),
    ([TEXT], "close", "truncated"),
    ([TEXT, event(error={"message": "no", "code": "server_error"}), DONE], "end", "error"),
    ([TEXT], "leave", "aborted"),
    ([DONE], "end", "empty"),
    ([], "end", "empty"),
]


@pytest.mark.parametrize(("events", "how", "verdict"), CASES)
async def test_how_a_stream_ended(events: list[bytes], how: str, verdict: str) -> None:
    async with called() as (stage, client, server):
        await server.sends(EVENTS + b"".join(map(chunk, events)) + (END if how == "end" else b""))
        if events:
            await client.until(events[-1])
        if how == "close":
            server.closes()
        elif how == "leave":
            client.closes()
        else:
            await client.until(END)
        assert (await stage.record()).verdict == verdict


async def test_a_body_that_stays_open_behind_its_last_event_is_ended() -> None:
    async with called() as (stage, client, server):
        await server.sends(EVENTS + b"".join(map(chunk, (TEXT, LAST, DONE))))
        await client.until(DONE)
        await client.until(END)
        await server.is_cut()
        assert (await stage.record()).verdict == "complete"


def bounded(size: int) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % size
    )


async def test_a_body_with_a_length_is_not_ended_before_it() -> None:
    async with called(timeouts={"idle": "1500ms"}) as (stage, client, server):
        events = TEXT + LAST + DONE
        await server.sends(bounded(len(events) + 1) + events)
        await client.until(DONE)
        assert (await stage.record()).error == "idle_timeout"
        await client.ends()


async def test_what_comes_behind_the_last_event_is_passed_on() -> None:
    async with called() as (stage, client, server):
        await server.sends(EVENTS + b"".join(map(chunk, (TEXT, LAST, DONE))))
        await client.until(DONE)
        for n in range(6):  # longer than a silent server gets
            await asyncio.sleep(0.25)
            await server.sends(chunk(b": %d\n\n" % n))
            await client.until(b": %d\n\n" % n)
        await server.sends(END)
        await client.until(END)
        assert (await stage.record()).verdict == "complete"


async def test_a_deadline_behind_the_last_event_breaks_nothing_off() -> None:
    async with called(timeouts={"total": "500ms"}) as (stage, client, server):
        await server.sends(EVENTS + b"".join(map(chunk, (TEXT, LAST, DONE))))
        await client.until(DONE)
        await client.until(END)
        record = await stage.record()
        assert (record.verdict, record.error) == ("complete", "")


async def test_an_error_within_a_stream_speaks_against_the_endpoint() -> None:
    error = event(error={"message": "overloaded", "type": "overloaded_error"})
    async with called(policy={"breaker": {"min_calls": 1}}) as (stage, client, server):
        await server.sends(EVENTS + chunk(TEXT) + chunk(error) + END)
        await client.until(END)
        record = await stage.record()
        assert (record.verdict, record.failure) == ("error", "overload")
        assert list(stage.endpoint.breakers.values()) == ["open"]


# -- the gate --

RETRY: dict[str, Any] = {"retry": {"max": 2, "backoff": {"base": "1ms", "cap": "1ms"}}}
OVERLOADED = event(error={"message": "try later", "type": "overloaded_error"})


@pytest.mark.parametrize("first", [OVERLOADED + DONE, DONE, b"", ROLE + OVERLOADED])
async def test_a_stream_that_fails_before_it_speaks_is_tried_again(first: bytes) -> None:
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(EVENTS + (chunk(first) if first else b"") + END)
        again = await stage.accepts()
        await again.head()
        await again.sends(EVENTS + chunk(TEXT) + chunk(LAST) + chunk(DONE) + END)
        assert (await client.reply()).body == TEXT + LAST + DONE
        record = await stage.record()
        assert record.verdict == "complete"
        assert [each.error for each in record.tries] == [
            "stream_error" if b"error" in first else "empty_stream",
            "",
        ]


@pytest.mark.parametrize("body", [OVERLOADED + DONE, OVERLOADED + b"data: 1\n\n", DONE, b""])
async def test_a_stream_in_one_read_that_fails_is_tried_again(body: bytes) -> None:
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(bounded(len(body)) + body)
        again = await stage.accepts()
        await again.head()
        await again.sends(EVENTS + chunk(TEXT) + chunk(LAST) + chunk(DONE) + END)
        assert (await client.reply()).body == TEXT + LAST + DONE


async def test_when_all_attempts_fail_the_caller_gets_the_status_that_fits() -> None:
    async with ReadStage(policy=RETRY) as stage:
        client = await stage.client()
        await client.sends(STREAM)
        for _ in range(3):
            server = await stage.accepts()
            await server.head()
            await server.sends(EVENTS + chunk(OVERLOADED) + END)
        told = await client.reply()
        assert (told.status, told.code) == (529, "stream_error")
        assert "try later" in json.loads(told.body)["error"]["message"]


async def test_what_no_attempt_mends_goes_on_as_it_is() -> None:
    bad = event(error={"message": "no such tool", "type": "invalid_request_error"})
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(EVENTS + chunk(bad) + END)
        assert (await client.reply()).body == bad
        assert (await stage.record()).failure == "bad_request"


async def test_a_gate_opens_with_the_first_content() -> None:
    async with called(policy=RETRY) as (_, client, server):
        await server.sends(EVENTS + chunk(b": ping\n\n") + chunk(ROLE))
        assert await client.silent(0.05)
        await server.sends(chunk(TEXT))
        assert b": ping\n\n" + ROLE in (await client.until(TEXT)).replace(b"\r\n", b"\n")
        client.closes()


@pytest.mark.parametrize("gate", [{"wait": "50ms"}, {"bytes": "1KiB"}])
async def test_a_gate_opens_when_it_has_held_long_enough(gate: dict[str, str]) -> None:
    async with called(policy={**RETRY, "gate": gate}) as (stage, client, server):
        await server.sends(EVENTS + b"".join(chunk(b": %d\n\n" % n + b":" * 99) for n in range(20)))
        await client.until(b": 19\n\n")
        await server.sends(chunk(b"\n" + TEXT) + chunk(LAST) + END)
        await client.until(END)
        record = await stage.record()
        assert record.verdict == "complete"
        assert [note.what for note in record.notes] == ["gate"]


async def test_a_stream_that_begins_before_its_request_was_taken_is_not_held() -> None:
    asks = chat("gpt-x", stream=True, pad="x" * 8_000_000)
    policy = {**RETRY, "hold": "16MiB"}
    async with ReadStage(policy=policy, servers=[Server(window=4096)]) as stage:
        client = await stage.client()
        upload = stage.begins(client.sends(asks))
        server = await stage.accepts()
        await server.until(b"\r\n\r\n")
        await upload
        await server.sends(EVENTS + chunk(ROLE))
        await client.until(ROLE)
        client.closes()


@pytest.mark.parametrize("policy", [{"retry": {"max": 0}}, {**RETRY, "gate": None}])
async def test_where_nothing_could_follow_nothing_is_held(policy: dict[str, Any]) -> None:
    async with called(policy=policy) as (_, client, server):
        await server.sends(EVENTS + chunk(ROLE))
        await client.until(ROLE)
        client.closes()


async def test_events_that_the_dialect_does_not_have_are_not_held() -> None:
    async with called(policy=RETRY) as (_, client, server):
        await server.sends(EVENTS + chunk(b"data: 1\n\n"))
        await client.until(b"data: 1\n\n")
        client.closes()


# -- failures --

MONEY = {"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}}
LIMIT = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, LIMIT, "rate_limit"),
        (429, MONEY, "money"),
        (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, "context_length"),
        (401, {"error": {"message": "x", "code": "invalid_api_key"}}, "authentication"),
        (503, {"error": {"message": "x"}}, "overload"),
    ],
)
async def test_what_kind_of_failure_it_is(status: int, body: dict[str, Any], kind: str) -> None:
    async with called(chat("gpt-x")) as (stage, client, server):
        await server.sends(reply(json.dumps(body).encode(), status))
        assert (await client.reply()).status == status
        assert (await stage.record()).failure == kind


async def test_an_empty_account_is_not_asked_again() -> None:
    async with called(chat("gpt-x"), policy=RETRY) as (stage, client, server):
        await server.sends(reply(json.dumps(MONEY).encode(), 429, b"Retry-After: 1"))
        told = await client.reply()
        assert (told.status, told["x-should-retry"]) == (429, "false")
        assert sum(stage.endpoint.attempts.values()) == 1


async def test_an_empty_account_of_which_a_stream_tells_is_not_asked_again() -> None:
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(EVENTS + chunk(event(**MONEY)) + END)
        told = await client.reply()
        assert (told.status, told["x-should-retry"]) == (429, "false")
        assert sum(stage.endpoint.attempts.values()) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunks", [False, True])
async def test_an_error_that_comes_in_pieces_is_read(packed: bool, chunks: bool) -> None:
    async with called(chat("gpt-x"), policy=RETRY) as (stage, client, server):
        body = json.dumps(MONEY).encode()
        body = gzip.compress(body) if packed else body
        head = b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\n"
        if packed:
            head += b"Content-Encoding: gzip\r\n"
        if chunks:
            head += b"Transfer-Encoding: chunked\r\n\r\n"
            rest = chunk(body[:20]) + chunk(body[20:]) + END
        else:
            head += b"Content-Length: %d\r\n\r\n" % len(body)
            rest = body
        await server.sends(head)
        assert await client.silent(0.05)
        await server.sends(rest)
        told = await client.reply()
        assert (told.status, told.body, told["x-should-retry"]) == (429, body, "false")
        assert (await stage.record()).failure == "money"
        assert sum(stage.endpoint.attempts.values()) == 1


async def test_an_error_that_never_ends_goes_on_and_is_read_as_far_as_it_came() -> None:
    async with called(chat("gpt-x"), policy=RETRY) as (stage, client, server):
        body = json.dumps(MONEY).encode()
        head = b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
        await server.sends(head + b"\r\n\r\n" + chunk(body))
        told = await client.until(body)
        assert b"x-should-retry: false" in told
        await server.sends(END)
        await client.until(END)
        record = await stage.record()
        assert (record.failure, record.error) == ("money", "")
        assert sum(stage.endpoint.attempts.values()) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_where_one_upstream_wants_money_another_is_asked(streams: bool) -> None:
    servers = [Server(), Server()]
    upstreams = {n: {"endpoints": [{"url": s.url}]} for n, s in zip("ab", servers, strict=True)}
    route = {"name": "r", "upstream": "a", "fallback": [{"upstream": "b"}], "fallback_on": ["5xx"]}
    async with ReadStage(upstreams=upstreams, routes=[route], servers=servers) as stage:
        client = await stage.client()
        await client.sends(chat("gpt-x", stream=streams))
        server = await servers[0].accepts()
        await server.head()
        money = EVENTS + chunk(event(**MONEY)) + END
        await server.sends(money if streams else reply(json.dumps(MONEY).encode(), 429))
        server = await servers[1].accepts()
        await server.head()
        await server.sends(reply(WHOLE))
        told = await client.reply()
        assert (told.status, told.body) == (200, WHOLE)
        assert not told["x-should-retry"]


async def test_a_wait_that_stands_in_the_body_is_kept() -> None:
    limit = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46s"}]}}  # fmt: skip
    async with called(chat("gpt-x"), policy=RETRY) as (stage, client, server):
        await server.sends(reply(json.dumps(limit).encode(), 429))
        assert (await client.reply()).status == 429  # longer than we may wait: it is handed on
        assert sum(stage.endpoint.attempts.values()) == 1


async def test_chunks_on_the_fast_path_are_seen_without_their_framing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fed: list[bytes] = []
    skimmed: list[bytes] = []
    feed = StreamReader.feed

    def feeds(self: StreamReader, data: bytes) -> None:
        fed.append(data)
        feed(self, data)

    def skims(self: StreamReader, data: bytes, begin: int, end: int) -> bool:
        skimmed.append(data[begin:end])
        return False

    monkeypatch.setattr(StreamReader, "feed", feeds)
    monkeypatch.setattr(OpenAIStream, "skims", skims)
    async with called() as (_, client, server):
        await server.sends(EVENTS + chunk(TEXT))
        await client.until(TEXT)
        for size in (1, 15, 16, 300, 5000):
            piece = delta(content="x" * size)
            await server.sends(chunk(piece))
            await client.until(piece)
            assert fed[-1] == skimmed[-1] == piece
        client.closes()


@pytest.mark.parametrize("leaves", [True, False])
async def test_the_tokens_of_a_stream_that_told_none_are_estimated(leaves: bool) -> None:
    async with called() as (stage, client, server):
        await server.sends(EVENTS + chunk(ROLE) + chunk(TEXT) * 4 + chunk(delta(content="end")))
        await client.until(b"end")
        if leaves:
            client.closes()
        else:
            await server.sends(chunk(LAST) + chunk(DONE) + END)
        record = await stage.record()
        assert record.verdict == ("aborted" if leaves else "complete")
        assert (record.output_tokens, record.estimated) == (5, True)
        assert record.input_tokens == record.bytes_in // 4
        [spent] = stage.route.models.spent.values()
        assert (spent.input, spent.output, spent.estimated_output) == (0, 0, 5)
        assert spent.estimated_input == record.input_tokens


# -- replies in one piece --

ASKS = chat("gpt-x")
CHUNKED = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
UNBOUNDED = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
HTML = b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\nContent-Length: 900\r\n\r\n<h1>Hello</h1>"
BUSY = json.dumps({"error": {"message": "try later", "type": "overloaded_error"}}).encode()
BAD = [
    (reply(b""), "bad_reply"),
    (b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", "bad_reply"),
    (CHUNKED + END, "bad_reply"),
    (CHUNKED + chunk(b" \n") + END, "bad_reply"),
    (reply(WHOLE[:-1]), "bad_reply"),
    (CHUNKED + chunk(WHOLE[:40]) + chunk(WHOLE[40:-1]) + END, "bad_reply"),
    (UNBOUNDED + WHOLE[:40], "bad_reply"),
    (reply(gzip.compress(WHOLE)[:-20], 200, b"Content-Encoding: gzip"), "bad_reply"),
    (HTML, "bad_reply"),
    (reply(BUSY), "error_reply"),
    (EVENTS.replace(b"Transfer-Encoding: chunked", b"Content-Length: 0"), "empty_stream"),
]


@pytest.mark.parametrize(("bad", "code"), BAD)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_what_is_no_answer_is_tried_again(bad: bytes, code: str, pieces: int) -> None:
    asks = STREAM if code == "empty_stream" else ASKS
    async with called(asks, policy=RETRY) as (stage, client, server):
        half = len(bad) // pieces
        await server.sends(bad[:half])
        if pieces > 1:
            await asyncio.sleep(0.02)
            await server.sends(bad[half:])
        if bad.startswith(UNBOUNDED):
            server.closes()
        again = await stage.accepts()
        await again.head()
        await again.sends(reply(WHOLE))
        assert (await client.reply()).body == WHOLE
        record = await stage.record()
        assert [each.error for each in record.tries] == [code, ""]
        assert record.verdict == "complete"


async def test_a_chunked_value_that_breaks_off_is_tried_again() -> None:
    async with called(ASKS, policy=RETRY) as (stage, client, server):
        await server.sends(CHUNKED + chunk(WHOLE[:40]))
        await asyncio.sleep(0.02)
        server.closes()
        again = await stage.accepts()
        await again.head()
        await again.sends(CHUNKED + chunk(WHOLE) + END)
        assert (await client.reply()).body == WHOLE


async def test_what_was_no_answer_at_last_has_its_reason() -> None:
    async with called(ASKS, policy={"retry": {"max": 0}}) as (stage, client, server):
        await server.sends(HTML)
        told = await client.reply()
        assert (told.status, told.code) == (502, "bad_reply")
        assert "a page of HTML" in json.loads(told.body)["error"]["message"]
        assert (await stage.record()).error == "bad_reply"


@pytest.mark.parametrize(
    ("answer", "policy"),
    [
        (reply(b"{"), {"verify": False}),
        (reply(b"{"), {"read": False}),
        (reply(b'{"data": [NaN]}'), {}),
        (reply(b"[" * 20_000), {}),  # too deep to be checked
        (reply(b'{"error": {"message": "no", "type": "invalid_request_error"}}'), {}),
        (reply(b"?", 200, b"Content-Encoding: br"), {}),
        (b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", {}),
        (b"HTTP/1.1 204 X\r\n\r\n", {}),
    ],
)
async def test_what_may_be_an_answer_goes_on(answer: bytes, policy: dict[str, Any]) -> None:
    async with called(ASKS, policy={**RETRY, **policy}) as (_, client, server):
        await server.sends(answer)
        assert (await client.reply()).body == answer.partition(b"\r\n\r\n")[2]


async def test_blanks_that_keep_a_connection_alive_go_on() -> None:
    async with called(ASKS, policy=RETRY) as (stage, client, server):
        await server.sends(CHUNKED + chunk(b"\n"))
        await client.until(chunk(b"\n"))  # DeepSeek sends them while it is busy
        await server.sends(chunk(WHOLE) + END)
        await client.until(END)
        assert (await stage.record()).input_tokens == 100


async def test_a_streams_only_event_may_have_been_cut() -> None:
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(EVENTS + chunk(TEXT[:-20]) + END)
        again = await stage.accepts()
        await again.head()
        await again.sends(EVENTS + chunk(TEXT) + chunk(LAST) + chunk(DONE) + END)
        assert (await client.reply()).body == TEXT + LAST + DONE


async def test_a_streams_only_event_may_lack_its_blank_line() -> None:
    async with called(policy=RETRY) as (stage, client, server):
        await server.sends(EVENTS + chunk(TEXT.rstrip(b"\n")) + END)
        assert (await client.reply()).body == TEXT.rstrip(b"\n")
        assert len((await stage.record()).tries) == 1
