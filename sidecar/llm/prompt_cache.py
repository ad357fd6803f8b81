"""Hints with which a provider's prompt cache finds more: a mark for Anthropic, a key for OpenAI.

Sources: anthropic-sdk-python 2.14 (`MessageCreateParams.cache_control`: on the top it marks the
last block that can be cached; at most four marks are taken); openai-python 3.57
(`prompt_cache_key` of chat and Responses).
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from sidecar.llm.dialects import APIS, Dialect, Operation
from sidecar.llm.prompt import Prompt
from sidecar.llm.splice import Body

Result = Literal["added", "kept", "short", "continued"]

_KEYED: Final[frozenset[Operation]] = frozenset({"chat", "responses"})
_MARK: Final = b'"cache_control"'
_ASCII: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_START: Final = 64 * 1024
"""Bytes of a prompt's start that a key is made of."""


class Hints(NamedTuple):
    """Which hints are given."""

    at_least: int
    """Bytes of a body from which on Anthropic is asked to keep its prompt."""
    ttl: str
    """How long Anthropic keeps it: `5m` or `1h`."""


class Hinted(NamedTuple):
    """What became of a body."""

    result: Result
    body: bytes | None = None
    """The body with the hint; None: it stays."""
    key: bytes | None = None
    """The key of the prompt's cache, the caller's or ours."""


def takes_hints(dialect: Dialect, operation: Operation, path: bytes) -> bool:
    """Whether the API has a hint for a call. Bedrock's and Vertex's Messages are left alone."""
    if dialect == "anthropic":
        return operation == "messages" and path.partition(b"?")[0].rstrip(b"/").endswith(
            b"/messages"
        )
    return dialect == "openai" and operation in _KEYED


def hint(body: bytes, dialect: Dialect, hints: Hints) -> Hinted:
    """Add the hint of *dialect* to *body*, unless its caller has given one.

    Raise UNREADABLE if it is no JSON object.
    """
    return _marked(body, hints) if dialect == "anthropic" else _keyed(body)


def _marked(body: bytes, hints: Hints) -> Hinted:
    """Mark the last block, where the caller marks none: with its own there could be too many."""
    if len(body) < hints.at_least:
        return Hinted("short")
    found = Body(body)
    if _has_mark(found.text):
        return Hinted("kept")
    ttl = b"" if hints.ttl == "5m" else b',"ttl":"%b"' % hints.ttl.encode()
    found.put(("cache_control",), b'{"type":"ephemeral"%b}' % ttl)
    return Hinted("added", found.encoded())


def _has_mark(text: bytes) -> bool:
    """Whether a member anywhere is called `cache_control`, even if its name is escaped.

    Quotes within texts are escaped. Where letters are too, a text that only speaks of it counts.
    """
    if text.find(b"\\u00") >= 0:
        text = _ASCII.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    return text.find(_MARK) >= 0


def _keyed(body: bytes) -> Hinted:
    """Name the prompt by its start, which all turns of a conversation share."""
    told = APIS["openai"].parameters(body)
    found = Body(body)
    if told.cache_key is not None or found.has(("prompt_cache_key",)):
        return Hinted("kept", key=told.cache_key.encode() if told.cache_key else None)
    start = Prompt(body).start(_START)
    if told.conversation is not None:
        start = told.conversation.encode()
    elif told.previous_response is not None or not start:
        return Hinted("continued")  # the start of the conversation is at the provider
    key = blake2b(start, digest_size=16).hexdigest().encode()
    found.put(("prompt_cache_key",), b'"%b"' % key)
    return Hinted("added", found.encoded(), key)
