"""From calls to spans at a collector: sampling, attempts, what was asked, reloads."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.control.collecting import TAKEN, exports
from tests.observe.exported import Export
from tests.sockets.peers import GET, ok, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.stage import Stage
from tests.sockets.test_models import post

TRACE, SPAN = "1" * 32, "2" * 16
REPLY = json.dumps({
    "id": "chatcmpl-1", "model": "m-1", "object": "chat.completion",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}).encode()  # fmt: skip


def traceparent(flags: str) -> bytes:
    return f"traceparent: 00-{TRACE}-{SPAN}-{flags}".encode()


def flag(request: bytes) -> bytes:
    """The flags of the traceparent that an endpoint got."""
    [line] = [line for line in request.split(b"\r\n") if line.startswith(b"traceparent: ")]
    return line[-2:]


class Traced(Fleet):
    """A fleet whose calls are exported to `collector`."""

    def __init__(self, *servers: Scripted, tracing: dict[str, Any] | None = None, **rest: Any):
        super().__init__(*servers, **rest)
        self.collector = Scripted("collector", always=TAKEN)
        self.beside(self.collector)
        self.config["tracing"] = {
            "endpoint": self.collector.url, "interval": "1ms", **(tracing or {}),
        }  # fmt: skip

    async def __aexit__(self, kind: object, *rest: object) -> None:
        await self.serving.close_tracing()
        await super().__aexit__(kind, *rest)

    async def export(self, spans: int) -> Export:
        """The first export, which has so many spans."""
        await until(lambda: self.stats.spans.exported == spans)
        return exports(self.collector)[0]


async def test_a_call_and_its_attempts() -> None:
    failing = Scripted("failing", always=status(503))
    other = Scripted("other", always=ok(REPLY, b"Content-Type: application/json"))
    upstreams = {
        "failing": {"endpoints": [{"url": failing.url}]},
        "other": {"endpoints": [{"url": other.url}]},
    }
    routes = [{"name": "r", "upstream": "failing", "fallback": [{"upstream": "other"}]}]
    policy = {"retry": {"max": 0}}
    async with Traced(failing, other, upstreams=upstreams, routes=routes, policy=policy) as stage:
        request = chat("m", traceparent("01"), temperature=0.5, conversation="c-1")
        assert (await stage.gets(request))[0] == 200
        export = await stage.export(3)
    call, first, second = export.spans
    values = export.attributes[0]
    assert (call.name, call.trace_id.hex(), call.parent_span_id.hex()) == ("chat m", TRACE, SPAN)
    assert {first.parent_span_id, second.parent_span_id} == {call.span_id}
    assert second.links[0].span_id == first.span_id
    assert values["gen_ai.request.temperature"] == 0.5
    assert values["gen_ai.response.model"] == "m-1"
    assert values["gen_ai.usage.input_tokens"] == 3
    assert values["gen_ai.response.finish_reasons"] == ["stop"]
    assert (values["server.port"], values["sidecar.fallback"]) == (other.port, 1)
    assert export.attributes[2]["sidecar.attempt.why"] == "fallback"
    for span, server in ((first, failing), (second, other)):
        assert f"{TRACE}-{span.span_id.hex()}-01".encode() in server.requests[0]
        assert first.start_time_unix_nano >= call.start_time_unix_nano
        assert span.end_time_unix_nano <= call.end_time_unix_nano
    assert export.resource["service.name"] == "llm-sidecar"


@pytest.mark.parametrize(
    ("sample", "line", "sent", "exported"),
    [
        ("100%", b"x-a: b", b"03", True),  # a trace that begins here is random, and sampled
        ("0%", b"x-a: b", b"02", False),
        ("100%", traceparent("00"), b"00", False),
        ("0%", traceparent("01"), b"01", True),
        ("100%", b"x-trace-id: " + b"a" * 32, b"01", True),
        ("0%", b"x-sidecar-trace: 1", b"03", True),
        ("100%", b"x-sidecar-trace: 0", b"02", False),
    ],
)
async def test_sampling(sample: str, line: bytes, sent: bytes, exported: bool) -> None:
    server = Scripted("s")
    trusting = {"trust": {"headers": True}}
    async with Traced(server, tracing={"sample": sample}, listener=trusting) as stage:
        await stage.gets(chat("m", line))
        await stage.serving.close_tracing()
        assert flag(server.requests[0]) == sent
        assert bool(stage.collector.requests) == exported


async def test_without_tracing_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's collector is the application's, with whom a sidecar may share it."""
    server, collector = Scripted("s"), Scripted("collector", always=TAKEN)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with Fleet(server).beside(collector) as stage:
        await stage.gets(chat())
        assert flag(server.requests[0]) == b"02"
        assert stage.serving.recorder.spans is None
    assert not collector.requests


async def test_a_call_without_a_route() -> None:
    server = Scripted("s")
    routes = [{"name": "r", "upstream": "u", "match": {"path": "/only/"}}]
    async with Traced(server, routes=routes) as stage:
        assert (await stage.gets(GET))[0] == 404
        export = await stage.export(1)
    assert export.attributes[0]["error.type"] == "no_route"


async def test_reloads() -> None:
    server, next_one = Scripted("s"), Scripted("next", always=TAKEN)
    async with Traced(server, tracing={"interval": "1h"}).beside(next_one) as stage:
        first = stage.serving.recorder.spans
        await stage.gets(chat())
        await stage.apply()  # nothing has changed
        assert stage.serving.recorder.spans is first
        stage.config["tracing"] = {"endpoint": next_one.url, "sample": "50%", "interval": "1h"}
        await stage.apply()
        assert stage.serving.recorder.spans is not first
        assert stage.serving.recorder.reject == 2**55
        await until(lambda: stage.stats.spans.exported == 2)  # what waited went where it should
        assert (len(stage.collector.requests), len(next_one.requests)) == (1, 0)
        await stage.gets(chat("m", traceparent("01")))
        del stage.config["tracing"]
        await stage.apply()
        assert stage.serving.recorder.spans is None
        await until(lambda: stage.stats.spans.exported == 4)
        assert len(next_one.requests) == 1


async def test_tls_files_that_cannot_be_used_change_nothing(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    async with Stage() as stage:
        stage.config["tracing"] = {
            "endpoint": "https://c", "tls": {"ca": str(tmp_path / "ca.pem")},
        }  # fmt: skip
        with pytest.raises(OSError, match=r"tracing\.tls"):
            await stage.apply()
        assert stage.serving.recorder.spans is None
        await stage.answered(await stage.client())


STREAMED = (
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"hel"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
WHOLE = b'{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"hello"}}]}'
ASKS = b'{"model": "m", "stream": %b, "messages": [{"role": "user", "content": "my name is Ann"}]}'


@pytest.mark.parametrize("form", ["stream", "whole", "gzip"])
async def test_what_is_said_is_told_where_that_is_asked_for(form: str) -> None:
    body, lines = WHOLE, [b"Content-Type: application/json"]
    if form == "stream":
        body, lines = STREAMED, [b"Content-Type: text/event-stream"]
    elif form == "gzip":
        body = gzip.compress(WHOLE)
        lines.append(b"Content-Encoding: gzip")
    server = Scripted("server", always=ok(body, *lines))
    asks = ASKS % (b"true" if form == "stream" else b"false")
    async with Traced(server, tracing={"content": "1KiB"}) as stage:
        await stage.gets(post(asks))
        values = (await stage.export(2)).attributes[0]
        told = values["gen_ai.input.messages"], values["gen_ai.output.messages"]
        assert "my name is Ann" in str(told[0])
        [message] = json.loads(str(told[1]))
        assert message["parts"] == [{"type": "text", "content": "hello"}]
        assert message["finish_reason"] == "stop"


async def test_a_kept_answer_is_told_as_a_whole_one() -> None:
    policy = {"cache": {}, "cache_key": {"when": "always"}}
    server = Scripted("server", always=ok(WHOLE, b"Content-Type: application/json"))
    async with Traced(server, tracing={"content": "1KiB"}, policy=policy) as stage:
        for _ in range(2):
            await stage.gets(post(ASKS % b"false"))
        await stage.export(3)
        spans = [each for export in exports(stage.collector) for each in export.attributes]
    told = [each["gen_ai.output.messages"] for each in spans if "gen_ai.output.messages" in each]
    assert [json.loads(str(each))[0]["finish_reason"] for each in told] == ["stop", "stop"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("content", [None, "1KiB"])
async def test_what_is_said_is_not_told_unasked_nor_where_it_is_redacted(
    content: str | None,
) -> None:
    policy: dict[str, Any] = {} if content is None else {"redact": {}}
    server = Scripted("server", always=ok(WHOLE, b"Content-Type: application/json"))
    async with Traced(server, tracing={"content": content}, policy=policy) as stage:
        await stage.gets(post(ASKS % b"false"))
        assert "Ann" not in str((await stage.export(2)).attributes)
