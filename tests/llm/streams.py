"""Streams in the shapes that the providers document, each with what is to be read in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.stream import Outcome, StreamReader, Verdict
from sidecar.llm.usage import Usage


class Stream(NamedTuple):
    """A stream and what is true of it at its end."""

    dialect: Dialect
    events: tuple[bytes, ...]
    """Each whole, as lines that end with LF."""
    verdict: Verdict
    usage: Usage | None = None
    finish_reasons: tuple[str, ...] = ()
    chunks: int = 0
    first: int | None = None
    """Which event brings the first content; None: none does."""
    model: str | None = None
    id: str | None = None
    error: tuple[str, int] | None = None
    """Kind and status."""
    terminal: bool = True

    @property
    def body(self) -> bytes:
        return b"".join(self.events)


def data(value: Any, name: str | None = None, compact: bool = True) -> bytes:
    """An event with JSON."""
    text = json.dumps(value, separators=(",", ":") if compact else None, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


def named(value: dict[str, Any], compact: bool = True) -> bytes:
    """An event whose name is its type."""
    return data(value, value["type"], compact)


DONE: Final = b"data: [DONE]\n\n"
MODEL: Final = "gpt-5.1-2025-11-13"


def chunk(delta: Any, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1764200000,
        "model": MODEL,
        "choices": [choice],
        **more,
    }


def _role() -> dict[str, Any]:
    return chunk({"role": "assistant", "content": "", "refusal": None}, usage=None)


def _text(text: str, **more: Any) -> dict[str, Any]:
    return chunk({"content": text}, usage=None, **more)


OPENAI_USAGE: Final = {
    "prompt_tokens": 30,
    "completion_tokens": 20,
    "total_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0},
}
USED: Final = Usage(input=30, cached=10, cache_write=5, output=20, reasoning=7)
PLAIN_USAGE: Final = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
PLAIN_USED: Final = Usage(input=3, output=2)
ERROR: Final = {"message": "no", "type": "server_error", "param": None, "code": None}
TRAPS: Final = (
    'say "error" and [DONE]',
    'data: [DONE]\n\ndata: {"error":{}}\n\n',
    '"finish_reason":"stop","usage":{"prompt_tokens":9}',
    "event: message_stop\ndata: {}\n\n",
    '"},"logprobs":null,"finish_reason":"stop"}]}\n\n',
    "\\",
    '\\"',
    "é\u2028\u0085 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
)
"""Texts of an answer that look like what is no answer."""

_CHAT: Final = (
    data(_role()),
    *(data(_text(text)) for text in ("Hel", "lo", " wor", "ld", "")),
    data(chunk({}, "stop", usage=None)),
)
_RESPONSE: Final = {"id": "resp_1", "object": "response", "model": MODEL, "output": []}
_DELTA: Final = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0}
RESPONSES_USAGE: Final = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 50,
}
_BEGIN: Final = (
    named({"type": "response.created", "sequence_number": 0, "response": _RESPONSE}),
    named({"type": "response.queued", "sequence_number": 1, "response": _RESPONSE}),
    named({"type": "response.in_progress", "sequence_number": 2, "response": _RESPONSE}),
)
_ITEM: Final = named({
    "type": "response.output_item.added",
    "output_index": 0,
    "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []},
})  # fmt: skip
_PART: Final = named({
    "type": "response.content_part.added",
    "part": {"type": "output_text", "text": "", "annotations": []},
})  # fmt: skip


def _deltas(*texts: str) -> tuple[bytes, ...]:
    return tuple(
        named({**_DELTA, "sequence_number": place, "delta": text, "obfuscation": "xy" * place})
        for place, text in enumerate(texts)
    )


def _end(kind: str, **more: Any) -> bytes:
    return named({"type": f"response.{kind}", "response": {**_RESPONSE, **more}})


_START: Final = named({
    "type": "message_start",
    "message": {
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-opus-4-5",
        "content": [], "stop_reason": None,
        "usage": {
            "input_tokens": 4, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 6,
            "output_tokens": 1, "service_tier": "standard",
        },
    },
}, compact=False)  # fmt: skip
_PING: Final = named({"type": "ping"}, compact=False)
_BLOCK: Final = named({
    "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
})  # fmt: skip


def _pieces(*texts: str, kind: str = "text") -> tuple[bytes, ...]:
    return tuple(
        named({
            "type": "content_block_delta", "index": 0,
            "delta": {"type": f"{kind}_delta", kind: text},
        })
        for text in texts
    )  # fmt: skip


_STOP_BLOCK: Final = named({"type": "content_block_stop", "index": 0})
_STOP: Final = named({"type": "message_stop"})


def _message_delta(reason: str | None, **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return named({"type": "message_delta", "delta": delta, "usage": usage})


def gemini(text: str | None, finish: str | None = None, **usage: int) -> dict[str, Any]:
    """A chunk of Gemini's."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"parts": [{"text": text}], "role": "model"}
    if finish:
        candidate["finishReason"] = finish
    counts = {"promptTokenCount": 8, "totalTokenCount": 20, **usage}
    return {
        "candidates": [candidate],
        "usageMetadata": counts,
        "modelVersion": "gemini-3-pro",
        "responseId": "r1",
    }


GEMINI_CHUNKS: Final = (
    gemini("Hel", candidatesTokenCount=1),
    gemini("lo", candidatesTokenCount=2, thoughtsTokenCount=4),
    gemini(" you", candidatesTokenCount=3, thoughtsTokenCount=4),
    gemini("!", "STOP", candidatesTokenCount=5, thoughtsTokenCount=7, cachedContentTokenCount=2),
)
GEMINI_USED: Final = Usage(input=8, cached=2, output=12, reasoning=7)
GEMINI_ERROR: Final = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}

STREAMS: Final[dict[str, Stream]] = {
    "chat": Stream(
        "openai", (*_CHAT, DONE), "complete", None, ("stop",), 5, 1, MODEL, "chatcmpl-1"
    ),
    "chat with usage": Stream(
        "openai",
        (
            *_CHAT,
            data({**chunk({}), "choices": [], "usage": OPENAI_USAGE}),
            DONE,
        ),
        "complete", USED, ("stop",), 5, 1, MODEL, "chatcmpl-1",
    ),
    "chat, padded": Stream(
        "openai",
        (
            data(_role()),
            *(
                data(_text(text, obfuscation=padding))
                for text, padding in zip("abcde", ("x", "yz", "", "abc", "q"), strict=True)
            ),
            data(chunk({}, "length", usage=None, obfuscation="zz")),
            DONE,
        ),
        "complete", None, ("length",), 5, 1, MODEL, "chatcmpl-1",
    ),
    "chat with traps": Stream(
        "openai",
        (data(_role()), *(data(_text(text)) for text in TRAPS), data(chunk({}, "stop")), DONE),
        "complete", None, ("stop",), len(TRAPS), 1, MODEL, "chatcmpl-1",
    ),
    "chat with two answers": Stream(
        "openai",
        (
            data(chunk({"role": "assistant"})),
            data(chunk({"content": "a"})),
            data(chunk({"content": "b"}, index=1)),
            data(chunk({}, "length", index=1)),
            data(chunk({"content": "c"})),
            data(chunk({}, "stop")),
            DONE,
        ),
        "complete", None, ("stop", "length"), 3, 1, MODEL, "chatcmpl-1",
    ),
    "chat, a tool": Stream(
        "openai",
        (
            data(chunk({"role": "assistant", "content": None})),
            data(chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]})),
            data(chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]})),
            data(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})),
            data(chunk({}, "tool_calls")),
            DONE,
        ),
        "complete", None, ("tool_calls",), 3, 1, MODEL, "chatcmpl-1",
    ),
    "chat of Azure": Stream(
        "openai",
        (
            data({
                "choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
            }),
            *_CHAT,
            data({**chunk({}), "choices": [
                {"index": 0, "finish_reason": None, "content_filter_offsets": {"end_offset": 4}},
            ]}),
            DONE,
        ),
        "complete", None, ("stop",), 6, 2, MODEL, "chatcmpl-1",
    ),
    "mistral": Stream(
        "mistral",
        (
            data(chunk({"role": "assistant", "content": ""})),
            data(chunk({"content": "a"})),
            data(chunk({"content": "b"})),
            data(chunk({"content": ""}, "stop", usage=PLAIN_USAGE)),
            DONE,
        ),
        "complete", PLAIN_USED, ("stop",), 2, 1, MODEL, "chatcmpl-1",
    ),
    "chat of Groq": Stream(
        "openai",
        (
            data({**_role(), "x_groq": {"id": "req_1"}}),
            data(chunk({"content": "a"})),
            data({**chunk({}, "stop"), "x_groq": {"id": "req_1", "usage": PLAIN_USAGE}}),
            DONE,
        ),
        "complete", PLAIN_USED, ("stop",), 1, 1, MODEL, "chatcmpl-1",
    ),
    "chat that Groq stopped": Stream(
        "openai",
        (
            data(chunk({"content": "a"})),
            data({**chunk({}), "x_groq": {"id": "req_1", "error": "over capacity"}}),
            DONE,
        ),
        "error", None, (), 2, 0, MODEL, "chatcmpl-1", ("server", 500),
    ),
    "chat of vLLM with usage in each chunk": Stream(
        "openai",
        (
            data({**_role(), "usage": {"prompt_tokens": 3, "completion_tokens": 0}}),
            data(chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1})),
            data(chunk({"content": "b"}, "stop", usage=PLAIN_USAGE)),
            DONE,
        ),
        "complete", PLAIN_USED, ("stop",), 2, 1, MODEL, "chatcmpl-1",
    ),
    "an error, then [DONE]": Stream(
        "openai",
        (*_CHAT[:3], data({"error": {**ERROR, "type": "BadRequestError", "code": 400}}), DONE),
        "error", None, (), 2, 1, MODEL, "chatcmpl-1", ("bad_request", 400),
    ),
    "an error first": Stream(
        "openai",
        (b": OPENROUTER PROCESSING\n\n", data({"error": {"message": "slow", "code": 429}})),
        "error", error=("rate_limit", 429), terminal=False,
    ),
    "an error beside a chunk": Stream(
        "openai",
        (*_CHAT[:4], data({**chunk({"content": ""}, "error"), "error": {"code": 502}})),
        "error", None, ("error",), 3, 1, MODEL, "chatcmpl-1", ("server", 502), False,
    ),
    "money, in an event": Stream(
        "openai",
        (
            *_BEGIN,
            named({"type": "error", "code": "insufficient_quota", "message": "pay", "param": None}),
        ),
        "error", None, (), 0, None, MODEL, "resp_1", ("money", 429), False,
    ),
    "no end": Stream(
        "openai", _CHAT[:5], "truncated", None, (), 4, 1, MODEL, "chatcmpl-1", None, False
    ),
    "no [DONE]": Stream(
        "openai", _CHAT, "complete", None, ("stop",), 5, 1, MODEL, "chatcmpl-1", None, False
    ),
    "[DONE] alone": Stream("openai", (DONE,), "empty"),
    "comments alone": Stream("openai", (b": hello\n\n", b":\n\n"), "empty", terminal=False),
    "an answer of no words": Stream(
        "openai", (data(_role()), data(chunk({}, "stop")), DONE),
        "complete", None, ("stop",), 0, None, MODEL, "chatcmpl-1",
    ),
    "completions": Stream(
        "openai",
        (
            *(
                data({"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [
                    {"text": text, "index": 0, "logprobs": None, "finish_reason": None}
                ]})
                for text in ("", "a", "b", "c")
            ),
            data({"id": "cmpl-1", "model": "m", "choices": [
                {"text": "", "index": 0, "finish_reason": "stop"}
            ], "usage": PLAIN_USAGE}),
            DONE,
        ),
        "complete", PLAIN_USED, ("stop",), 3, 1, "m", "cmpl-1",
    ),
    "responses": Stream(
        "openai",
        (*_BEGIN, _ITEM, _PART, *_deltas("a", "b", "c"), _end("completed", usage=RESPONSES_USAGE)),
        "complete", USED, ("completed",), 3, 5, MODEL, "resp_1",
    ),
    "responses, then [DONE]": Stream(
        "openai",
        (*_BEGIN, *_deltas(*TRAPS), _end("completed", usage=RESPONSES_USAGE), DONE),
        "complete", USED, ("completed",), len(TRAPS), 3, MODEL, "resp_1",
    ),
    "responses without names": Stream(
        "openai",
        tuple(
            event.partition(b"\n")[2]
            for event in (*_BEGIN, *_deltas("a"), _end("completed", usage=RESPONSES_USAGE))
        ),
        "complete", USED, ("completed",), 1, 3, MODEL, "resp_1",
    ),
    "responses, incomplete": Stream(
        "openai",
        (
            *_BEGIN,
            *_deltas("a"),
            _end("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ),
        "complete", None, ("max_output_tokens",), 1, 3, MODEL, "resp_1",
    ),
    "responses, failed": Stream(
        "openai",
        (*_BEGIN, _end("failed", error={"code": "rate_limit_exceeded", "message": "later"})),
        "error", None, (), 0, None, MODEL, "resp_1", ("rate_limit", 429),
    ),
    "responses, a tool": Stream(
        "openai",
        (
            *_BEGIN,
            named({
                "type": "response.output_item.added",
                "item": {"type": "function_call", "name": "f", "arguments": ""},
            }),
            named({"type": "response.function_call_arguments.delta", "delta": "{}"}),
            _end("completed", usage=RESPONSES_USAGE),
        ),
        "complete", USED, ("completed",), 1, 3, MODEL, "resp_1",
    ),
    "a transcript": Stream(
        "openai",
        (
            data({"type": "transcript.text.delta", "delta": "a"}),
            data({"type": "transcript.text.done", "text": "a", "usage": {
                "type": "tokens", "input_tokens": 3, "output_tokens": 2,
            }}),
        ),
        "complete", PLAIN_USED, (), 1, 0,
    ),
    "JSON that is no event": Stream(
        "openai", (b'{"error": {"message": "no", "type": "server_error"}}',),
        "error", error=("server", 500),
    ),
    "anthropic": Stream(
        "anthropic",
        (
            _START, _PING, _BLOCK, *_pieces("a", "b", *TRAPS), _PING, _STOP_BLOCK,
            _message_delta(None, output_tokens=8),
            _message_delta(
                "end_turn", output_tokens=12, output_tokens_details={"thinking_tokens": 7},
                cache_read_input_tokens=None,
            ),
            _STOP,
        ),
        "complete", Usage(input=15, cached=6, cache_write=5, output=12, reasoning=7),
        ("end_turn",), 2 + len(TRAPS), 3, "claude-opus-4-5", "msg_01",
    ),
    "anthropic, its input told again": Stream(
        "anthropic",
        (
            _START, _BLOCK, *_pieces("hm", kind="thinking"),
            _message_delta("tool_use", input_tokens=10, cache_read_input_tokens=0,
                           output_tokens=3),
            _STOP,
        ),
        "complete", Usage(input=15, cache_write=5, output=3),
        ("tool_use",), 1, 2, "claude-opus-4-5", "msg_01",
    ),
    "anthropic, a tool": Stream(
        "anthropic",
        (
            _START,
            named({"type": "content_block_start", "index": 0,
                   "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            *_pieces("{}", kind="partial_json"), _STOP_BLOCK,
            _message_delta("tool_use", output_tokens=3), _STOP,
        ),
        "complete", Usage(input=15, cached=6, cache_write=5, output=3),
        ("tool_use",), 1, 1, "claude-opus-4-5", "msg_01",
    ),
    "anthropic, overloaded": Stream(
        "anthropic",
        (
            _START, _PING,
            named({"type": "error", "error": {"type": "overloaded_error", "message": "full"}}),
        ),
        "error", Usage(input=15, cached=6, cache_write=5, output=1), (), 0, None,
        "claude-opus-4-5", "msg_01", ("overload", 529), False,
    ),
    "anthropic, no end": Stream(
        "anthropic", (_START, _BLOCK, *_pieces("a", "b")), "truncated",
        Usage(input=15, cached=6, cache_write=5, output=1), (), 2, 2,
        "claude-opus-4-5", "msg_01", None, False,
    ),
    "anthropic, nothing behind the start": Stream(
        "anthropic", (_START, _PING), "empty",
        Usage(input=15, cached=6, cache_write=5, output=1), (), 0, None,
        "claude-opus-4-5", "msg_01", None, False,
    ),
    "gemini": Stream(
        "gemini", tuple(data(value, compact=False) for value in GEMINI_CHUNKS),
        "complete", GEMINI_USED, ("STOP",), 4, 0, "gemini-3-pro", "r1",
    ),
    "gemini without usage in the last chunk": Stream(
        "gemini",
        (
            *(data(value, compact=False) for value in GEMINI_CHUNKS[:3]),
            data({"candidates": [{"index": 0, "content": {"parts": [{"text": "x"}]}}]}),
        ),
        "truncated", Usage(input=8, output=7, reasoning=4), (), 4, 0, "gemini-3-pro", "r1",
        None, False,
    ),
    "gemini, traps": Stream(
        "gemini",
        (
            *(data(gemini(text, candidatesTokenCount=1), compact=False) for text in TRAPS),
            data(gemini('"finishReason": "STOP"'), compact=False),
            data(gemini("finishReason"), compact=False),
        ),
        "truncated", Usage(input=8), (), len(TRAPS) + 2, 0, "gemini-3-pro", "r1", None, False,
    ),
    "gemini, blocked": Stream(
        "gemini",
        (data({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
               "usageMetadata": {"promptTokenCount": 8}}),),
        "complete", Usage(input=8), ("PROHIBITED_CONTENT",),
    ),
    "gemini, an error in an event": Stream(
        "gemini", (data(GEMINI_CHUNKS[0]), data(GEMINI_ERROR)),
        "error", Usage(input=8, output=1), (), 1, 0, "gemini-3-pro", "r1", ("overload", 503), False,
    ),
    "gemini, an error in a list in an event": Stream(
        "gemini", (data([GEMINI_ERROR]),), "error", error=("overload", 503), terminal=False,
    ),
    "gemini, an error as bare lines": Stream(
        "gemini",
        (data(GEMINI_CHUNKS[0]), json.dumps(GEMINI_ERROR, indent=2).encode() + b"\n"),
        "error", Usage(input=8, output=1), (), 1, 0, "gemini-3-pro", "r1", ("overload", 503), False,
    ),
    "gemini, an array": Stream(
        "gemini", (json.dumps(list(GEMINI_CHUNKS), indent=2).encode(),),
        "complete", GEMINI_USED, ("STOP",), 4, 0, "gemini-3-pro", "r1",
    ),
    "gemini, an array that breaks off": Stream(
        "gemini", (json.dumps(list(GEMINI_CHUNKS[:2]), indent=2).encode()[:-1],),
        "truncated", Usage(input=8, output=6, reasoning=4), (), 2, 0, "gemini-3-pro", "r1",
        None, False,
    ),
    "gemini, an error in an array": Stream(
        "gemini", (json.dumps([GEMINI_ERROR]).encode(),), "error", error=("overload", 503)
    ),
    "cohere": Stream(
        "cohere",
        (
            named({"type": "message-start", "id": "c1", "delta": {"message": {"content": []}}}),
            named({"type": "content-start", "index": 0, "delta": {}}),
            named({"type": "content-delta", "index": 0, "delta": {"message": {}}}),
            named({"type": "content-end", "index": 0}),
            named({"type": "message-end", "delta": {
                "finish_reason": "COMPLETE",
                "usage": {"tokens": {"input_tokens": 3.0, "output_tokens": 2.0}},
            }}),
            DONE,
        ),
        "complete", PLAIN_USED, ("COMPLETE",), 1, 2, None, "c1",
    ),
}  # fmt: skip


def read(
    dialect: Dialect, pieces: Iterable[bytes], how: Outcome = "ended"
) -> tuple[StreamReader, Verdict]:
    """What a reader says that was fed *pieces*."""
    reader = APIS[dialect].stream()
    for piece in pieces:
        reader.feed(piece)
    return reader, reader.finish(how)


def told(reader: StreamReader) -> tuple[object, ...]:
    """All that a reader tells."""
    return (
        reader.usage,
        reader.finish_reasons,
        reader.chunks,
        reader.content,
        reader.model,
        reader.response_id,
        reader.error,
        reader.terminal,
    )
