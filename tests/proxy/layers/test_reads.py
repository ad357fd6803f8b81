"""Which replies are read, and what is asked of the upstream to that end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.http.fields import Fields
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.llm.dialects import APIS
from sidecar.proxy.call import Call
from sidecar.proxy.layers.reads import HideUsage, Reads
from sidecar.proxy.request import Request

STREAM = b'{"model":"m","stream":true}'


class Inner:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.request: Request

    async def __call__(self, call: Call, request: Request) -> Any:
        self.request = request
        return SimpleNamespace(head=SimpleNamespace(body=0, status=200), attempt=None, failure=None)


async def asked(
    path: bytes, body: bytes = b"{}", *, dialect: str = "openai", usage: bool = False, **more: Any
) -> Request:
    inner = Inner()
    reads = Reads(
        cast("Any", inner), APIS[cast("Any", dialect)], None, verifies=True, include_usage=usage
    )
    lines = more.pop("lines", b"")
    held = SimpleNamespace(
        complete=True,
        streamed=False,
        unpacked=None,
        plain=lambda: body,
        count_copies=lambda _: None,
    )
    fields = Fields(lines, REQUEST_FIELDS)
    head = SimpleNamespace(fields=fields, upgrade=more.pop("upgrade", False))
    call = SimpleNamespace(body=held, head=head, operation="", model=None)
    request = Request(b"POST", path, cast("Any", held), **more)
    await reads(cast("Any", call), request)
    return inner.request


@pytest.mark.parametrize(
    ("path", "dialect", "reads"),
    [
        (b"/v1/chat/completions", "openai", True),
        (b"/v1/chat/completions?a=b", "openai", True),
        (b"/v1/responses", "openai", True),
        (b"/v1/embeddings", "openai", True),
        (b"/v1/files", "openai", False),
        (b"/anything", "openai", False),
        (b"/v1/messages", "anthropic", True),
        (b"/v1/messages/count_tokens", "anthropic", False),
        (b"/v1beta/models/m:generateContent", "gemini", True),
    ],
)
async def test_operations_that_tell_a_usage_are_read(
    path: bytes, dialect: str, reads: bool
) -> None:
    assert ((await asked(path, dialect=dialect)).reading is not None) == reads


async def test_an_upgrade_is_not_read() -> None:
    assert (await asked(b"/v1/responses", upgrade=True)).reading is None


@pytest.mark.parametrize(
    ("body", "stream", "usage", "inserts"),
    [
        (STREAM, True, True, True),
        (STREAM, True, False, False),
        (b'{"model":"m"}', False, True, False),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', True, True, False),
        (b"no JSON", True, True, False),
    ],
)
async def test_the_usage_is_asked_for_where_it_is_taken(
    body: bytes, stream: bool, usage: bool, inserts: bool
) -> None:
    request = await asked(b"/v1/chat/completions", body, usage=usage, stream=stream)
    assert (request.content is not None) == inserts
    if inserts:
        assert b"include_usage" in (request.content or b"")
        assert request.edits[b"accept-encoding"] == b"\r\nAccept-Encoding: identity"


@pytest.mark.parametrize(
    ("offered", "line"),
    [
        (b"gzip, deflate", None),
        (b"gzip;q=0.5, identity", None),
        (b"gzip, br", b"\r\nAccept-Encoding: gzip"),
        (b"zstd", b"\r\nAccept-Encoding: identity"),
        (b"*", b"\r\nAccept-Encoding: identity"),
    ],
)
async def test_only_codings_that_can_be_read_are_offered(
    offered: bytes, line: bytes | None
) -> None:
    request = await asked(b"/v1/responses", lines=b"\r\nAccept-Encoding: " + offered)
    assert request.edits.get(b"accept-encoding") == line


def test_what_hides_the_usage_passes_everything_else() -> None:
    hides = HideUsage()
    event = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    text = b'data: {"choices":[{"delta":{"content":"\\"prompt_tokens\\""}}]}\n\n'
    assert hides.feed(text + event + text) + hides.end() == text + text
