"""What is said in a call, as OpenTelemetry's conventions write it: messages of parts.

Source: open-telemetry/semantic-conventions 1.41, `gen-ai-input-messages.json` and
`gen-ai-output-messages.json`. Only texts are told; of all else (images, tool calls, results) only
its kind, since it may be large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.llm.dialects.base import read

_anything: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_TEXTS: Final = ("text", "input_text", "output_text", None)
_SYSTEM: Final = ("system", "developer")
_CUT: Final = "..."


class Content(NamedTuple):
    """JSON texts; empty where nothing was said."""

    system: str = ""
    """The system instructions: a list of parts."""
    input: str = ""
    """The messages of the request, oldest first."""
    output: str = ""
    """The messages of the answer."""


def asked(body: bytes, most: int) -> Content:
    """Return what *body* says to the model, in at most about *most* bytes of text.

    The last messages are told, since the first ones were in earlier calls.
    """
    found = read(_anything, body)
    if not isinstance(found, dict):
        return Content()
    system: list[str] = []
    messages: list[tuple[str, list[tuple[str, str]]]] = []
    for role, parts in _messages(found):
        if role in _SYSTEM:
            system += [text for kind, text in parts if kind == "text"]
        else:
            messages.append((role, parts))
    return Content(
        _dump(_parts([("text", text) for text in system], [most])) if system else "",
        _dump(_last(messages, most)) if messages else "",
    )


def answered(text: str, finish: str) -> str:
    """Return the messages of an answer of *text*, as JSON."""
    parts = [{"type": "text", "content": text}]
    return _dump([{"role": "assistant", "parts": parts, "finish_reason": finish or "error"}])


def _messages(found: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield role and parts of each message, in any dialect."""
    for name in ("system", "instructions", "systemInstruction", "system_instruction"):
        if name in found:
            yield "system", list(_content(found[name]))
    for name in ("messages", "contents", "input", "prompt"):
        given = found.get(name)
        if isinstance(given, str):
            yield "user", [("text", given)]
        for each in given if isinstance(given, list) else ():
            if isinstance(each, str):
                yield "user", [("text", each)]
            elif isinstance(each, dict):
                role = each.get("role") or each.get("type") or "user"
                content = each.get("content", each.get("parts"))
                yield {"model": "assistant"}.get(str(role), str(role)), list(_content(content))


def _content(content: object) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each part."""
    if isinstance(content, dict):
        content = content.get("parts", [content])
    if isinstance(content, str):
        yield "text", content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, dict):
            text = part.get("text")
            if part.get("type") in _TEXTS and isinstance(text, str):
                yield "text", text
            else:
                yield str(part.get("type") or next(iter(part), "other"))[:64], ""


def _last(messages: list[tuple[str, list[tuple[str, str]]]], most: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    left = [most]
    for role, parts in reversed(messages):
        if left[0] <= 0:
            break
        told.append({"role": role[:64], "parts": _parts(parts, left)})
    return told[::-1]


def _parts(parts: list[tuple[str, str]], left: list[int]) -> list[dict[str, str]]:
    """Write *parts*; *left* is how much text may still be told."""
    made = []
    for kind, text in parts:
        if kind != "text":
            made.append({"type": kind})
        elif left[0] > 0:
            cut = text if len(text) <= left[0] else text[: left[0]] + _CUT
            left[0] -= len(text)
            made.append({"type": "text", "content": cut})
    return made


def _dump(value: object) -> str:
    return _encode(value).decode("utf-8", "replace")
