"""The bytes that every contender carries: a call, its reply, streamed chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MODEL: Final = "bench"
PATH: Final = "/v1/chat/completions"
STREAM_MARK: Final = b'"stream":true'
STEPS_MARK: Final = b'"steps":true'  # the chunks of all streams come together
PLAIN_MARK: Final = b'"plain":true'  # the reply is the same each time, with a small head
CLOSE_MARK: Final = b'"close":true'  # the reply is the last on its connection
LARGE_PATH: Final = "/large"
LARGE_BYTES: Final = 256 * 2**20
KEY: Final = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz"
STAMP_MARK: Final = b"@"  # stands before the nanoseconds in a chunk's text

# As little as a caller can say.
HEADERS: Final = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

_PROMPT: Final = (
    "Summarize the following passage in three bullet points, keep every figure, and name the "
    "people who are quoted. " * 4
)


def body(*marks: bytes) -> bytes:
    """A chat completion's request body, about 700 bytes; *marks* tell the upstream what to do."""
    return (
        b'{"model":"%b","messages":[{"role":"system","content":"You are a careful assistant. '
        b"Answer in plain words, cite the passage, say so when you do not know, invent no figure."
        b'"},{"role":"user","content":"%b"}],"temperature":0.2,"max_tokens":256%b}'
    ) % (MODEL.encode(), _PROMPT.encode(), b"".join(b"," + mark for mark in marks))


def request_lines(headers: Mapping[str, str], host: str, content: bytes) -> list[str]:
    """The lines of a call's head with *headers*."""
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(content)}"]
    return lines + [f"{name}: {value}" for name, value in headers.items()]


_REPLY_BODY: Final = (
    b'{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion",'
    b'"created":1741570283,"model":"bench","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"- Revenue rose by 12 % to 4.1 million in the third quarter.\\n- The director of '
    b"the plant, M. Alvarez, called the new line overdue and expects it to run by the end of the "
    b'year.\\n- Two of the five sites close; 140 people are offered other places.","refusal":null,'
    b'"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":119,'
    b'"completion_tokens":62,"total_tokens":181},"service_tier":"default"}'
)


_PLAIN_HEAD: Final = b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"


def json_reply(content: bytes) -> bytes:
    """What ends a reply's head and follows it, with the JSON *content*."""
    return b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


REPLY: Final = json_reply(_REPLY_BODY)
PLAIN_REPLY: Final = _PLAIN_HEAD + REPLY
# Routers ask what a worker serves before they send it calls.
ABOUT: Final = _PLAIN_HEAD + json_reply(
    b'{"object":"list","data":[{"id":"%b","object":"model"}],"model_path":"%b","status":"ready"}'
    % (MODEL.encode(), MODEL.encode())
)
STREAM_REPLY: Final = (
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LARGE_HEAD: Final = (
    _PLAIN_HEAD + b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
) % LARGE_BYTES

_EVENT: Final = (
    b'data: {"id":"chatcmpl-B9MHDbs","object":"chat.completion.chunk","created":1741570283,'
    b'"model":"bench","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n'
)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def stream_chunk(nanoseconds: int) -> bytes:
    """One HTTP chunk holding one event that carries the time at which it was sent."""
    return _chunk(_EVENT % (b"%b%d " % (STAMP_MARK, nanoseconds), b"null"))


STREAM_END: Final = _chunk(_EVENT % (b"", b'"stop"') + b"data: [DONE]\n\n") + b"0\r\n\r\n"
