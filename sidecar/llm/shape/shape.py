"""Shape a request's body as a policy says, and tell what was changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from sidecar.llm.dialects import Dialect, Operation
from sidecar.llm.shape.context import Context, fit
from sidecar.llm.shape.fields import Bounds, ChatField, bound, fields_of
from sidecar.llm.shape.system import trim_system
from sidecar.llm.splice import Body


class ShapeSettings(NamedTuple):
    """What is changed; an empty value changes nothing."""

    max_tokens: Bounds | None = None
    chat_field: ChatField = "max_completion_tokens"
    """What the bound is called where it is added to OpenAI's chat."""
    temperature: Bounds | None = None
    top_p: Bounds | None = None
    strip: tuple[tuple[str, ...], ...] = ()
    """Paths of members that are removed."""
    add: tuple[tuple[tuple[str, ...], bytes], ...] = ()
    """Paths and values of members that are added where they are missing, in JSON."""
    context: Context | None = None
    trim_system: bool = False
    bytes_per_token: float = 4.0
    """For estimates."""


class Shaped(NamedTuple):
    """A body, and what was done to it."""

    body: bytes | None
    """None: nothing was changed."""
    changes: Mapping[str, str]
    """What was changed, and how: `max_tokens` to `512`. A `~` marks an estimate."""
    saved: int
    """Tokens that the prompt has lost, estimated."""


def shape(body: bytes, dialect: Dialect, operation: Operation, settings: ShapeSettings) -> Shaped:
    """Shape *body*, of a call for *operation*.

    Raise TooLong if the prompt is too long, and UNREADABLE (`splice.py`) if it is no JSON object.
    """
    found = Body(body)
    changes: dict[str, str] = {}
    saved = 0
    if settings.trim_system:
        lost = trim_system(found)
        if lost > 0:
            saved = round(lost / settings.bytes_per_token)
            changes["system-trimmed"] = f"~{saved}"
            found = Body(found.encoded())
    if settings.context is not None:
        dropped = fit(found, settings.context)
        if dropped.messages:
            saved += dropped.tokens
            changes["messages-dropped"] = str(dropped.messages)
            changes["tokens-dropped"] = f"~{dropped.tokens}"
    _strip_and_add(found, settings, changes)
    fields = fields_of(dialect, operation, settings.chat_field)
    for name, paths, bounds in (
        ("max_tokens", fields.max_tokens, settings.max_tokens),
        ("temperature", fields.temperature, settings.temperature),
        ("top_p", fields.top_p, settings.top_p),
    ):
        if bounds is not None:
            number = bound(found, paths, bounds, whole=name == "max_tokens")
            if number is not None:
                changes[name] = f"{number:g}" if number < 1e5 else str(int(number))
    return Shaped(found.encoded() if changes else None, changes, saved)


def _strip_and_add(body: Body, settings: ShapeSettings, changes: dict[str, str]) -> None:
    stripped = sum(body.remove(path) for path in settings.strip)
    if stripped:
        changes["stripped"] = str(stripped)
    added = 0
    for path, value in settings.add:
        if not body.values(path):
            body.put(path, value)
            added += 1
    if added:
        changes["added"] = str(added)


def in_json(value: object) -> bytes:
    """Return *value*, of a configuration, as it is put into a body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
