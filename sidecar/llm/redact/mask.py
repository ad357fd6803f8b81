"""Mask the values in the texts of a request's body.

Only texts that a model reads are looked at: messages, system prompts, inputs and the arguments and
results of tools. Names of members, roles, ids, base64 data and the addresses of images are not, nor
are other members of the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from sidecar.llm.redact.values import Values, written
from sidecar.llm.splice import Body, Place, replaced

MEMBERS: Final = (
    "messages", "system", "instructions", "input", "prompt", "suffix", "prediction", "contents",
    "systemInstruction", "system_instruction", "message", "chat_history", "preamble", "documents",
    "query", "texts", "content", "requests", "items",
)  # fmt: skip
"""Members of a body that have texts for a model, in any API."""
_SKIPPED: Final = frozenset({
    b"role", b"type", b"id", b"call_id", b"tool_call_id", b"tool_use_id", b"toolUseId", b"name",
    b"data", b"file_data", b"file_id", b"url", b"image_url", b"fileUri", b"file_uri", b"mimeType",
    b"mime_type", b"media_type", b"format", b"detail", b"status", b"signature", b"bytes",
    b"encrypted_content", b"thoughtSignature", b"thought_signature", b"model", b"ttl",
})  # fmt: skip
"""Members whose texts are for programs. In arguments and results of tools, all are looked at."""
_FREE: Final = frozenset({b"input", b"args", b"response", b"json", b"output", b"arguments"})
"""Members with arguments or results of tools."""
_NESTED: Final = b"arguments"
"""A member that holds JSON in a string."""
_TOKEN: Final = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")([ \t\r\n]*+:)?|[{}\[\]]', re.DOTALL)
_STEP: Final = 64 * 1024
_SHORTEST: Final = 3
"""Characters of a value. A shorter text is not looked at."""


def mask(body: Body, values: Values) -> Iterator[None]:
    """Mask the texts of *body*. Raise TooMany.

    It yields after each 64 KiB or so, so that other tasks get a turn.
    """
    left = _STEP
    for name in MEMBERS:
        for place in list(body.places(name)):
            text = body.value(place)
            changes: list[tuple[Place, bytes]] = []
            before = 0
            for at, new in _strings(text, values, free=False):
                if new is not None:
                    changes.append((at, new))
                left -= at.end - before
                before = at.end
                if left < 0:
                    left = _STEP
                    yield
            if changes:
                body.replace_at(place, replaced(text, Place(0, len(text)), changes))


def _strings(text: bytes, values: Values, *, free: bool) -> Iterator[tuple[Place, bytes | None]]:
    """Yield the strings of *text*, of JSON, and what each becomes; None: it stays."""
    key = b""
    depth = 0
    free_at = 0 if free else -1
    """Depth at which arguments or results of a tool began; -1: not in any."""
    for token in _TOKEN.finditer(text):
        string = token[1]
        if string is None:
            if token[0] in b"{[":
                depth += 1
                if free_at < 0 and key in _FREE:
                    free_at = depth
            else:
                if depth == free_at:
                    free_at = -1
                depth -= 1
            key = b""
        elif token[2] is not None:
            key = string[1:-1]
        else:
            if len(string) > _SHORTEST and (free_at >= 0 or key not in _SKIPPED):
                new = _masked(string, values, nested=key == _NESTED)
                yield Place(token.start(1), token.end(1)), new
            key = b""


def _masked(string: bytes, values: Values, *, nested: bool) -> bytes | None:
    """Return the JSON *string* with placeholders; None if it has no value."""
    if string.startswith(b'"data:'):
        return None
    try:
        text = json.loads(string, strict=False)
    except ValueError:  # not UTF-8
        text = string[1:-1].decode("utf-8", "surrogateescape")
    if nested and _is_json(text):
        inner = text.encode("utf-8", "surrogatepass")
        strings = _strings(inner, values, free=True)
        changes = [(at, new) for at, new in strings if new is not None]
        if not changes:
            return None
        new = replaced(inner, Place(0, len(inner)), changes)
        return written(new.decode("utf-8", "surrogatepass"))
    masked = values.masked(text)
    return None if masked is None else written(masked)


def _is_json(text: str) -> bool:
    """Whether a string of arguments is what it should be, and no text that only begins like it."""
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
