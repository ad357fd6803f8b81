"""The bytes that every contender carries: one call, its reply, and a streamed chunk."""

from __future__ import annotations

from typing import Final

MODEL: Final = "bench"
PATH: Final = "/v1/chat/completions"
STREAM_MARK: Final = b'"stream":true'
STEPS_MARK: Final = b'"steps":true'
LARGE_PATH: Final = "/large"
LARGE_BYTES: Final = 256 * 2**20
KEY: Final = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz"
STAMP_MARK: Final = b"@"  # stands before the nanoseconds in a chunk's text

# What the openai SDK for Python sends; the host is added by whoever sends it.
HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": f"Bearer {KEY}",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 2.8.1",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Async": "false",
    "X-Stainless-Lang": "python",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Package-Version": "2.8.1",
    "X-Stainless-Read-Timeout": "600",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.11.7",
}

_PROMPT: Final = (
    "Summarize the following passage in three bullet points, keep every figure, and name the "
    "people who are quoted. " * 4
)


def body(*, stream: bool, steps: bool = False) -> bytes:
    """A chat completion's request body, about 700 bytes."""
    mark = b"," + STREAM_MARK if stream else b""
    mark += b"," + STEPS_MARK if steps else b""
    return (
        b'{"model":"%s","messages":[{"role":"system","content":"You are a careful assistant. '
        b"Answer in plain words, cite the passage, say so when you do not know, invent no figure."
        b'"},{"role":"user","content":"%s"}],"temperature":0.2,"max_tokens":256%s}'
    ) % (MODEL.encode(), _PROMPT.encode(), mark)


def request(host: str, *, stream: bool = False, steps: bool = False) -> bytes:
    """A whole POST of a chat completion, head and body."""
    content = body(stream=stream, steps=steps)
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


_REPLY_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"openai-version: 2020-10-01\r\nopenai-processing-ms: 3\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 149984\r\n"
)

_REPLY_BODY: Final = (
    b'{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion",'
    b'"created":1741570283,"model":"bench","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"- Revenue rose by 12 % to 4.1 million in the third quarter.\\n- The director of '
    b"the plant, M. Alvarez, called the new line overdue and expects it to run by the end of the "
    b'year.\\n- Two of the five sites close; 140 people are offered other places.","refusal":null,'
    b'"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":119,'
    b'"completion_tokens":62,"total_tokens":181},"service_tier":"default"}'
)


def reply(content: bytes = _REPLY_BODY) -> bytes:
    """A whole reply with JSON *content*; about 600 bytes of it out of the box."""
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    return _REPLY_HEAD + head + content


STREAM_HEAD: Final = (
    _REPLY_HEAD + b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LARGE_HEAD: Final = (
    _REPLY_HEAD + b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
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
