"""The conversation of a call, as its caller names it.

It is for correlation only, never for authorisation: a caller can send any value. Sources: Claude
Code's and Codex's own headers; Envoy AI Gateway and Higress for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.llm.dialects.base import Parameters

FIELDS: Final = (
    b"x-claude-code-session-id",
    b"session_id",  # Codex
    b"agent-session-id",
    b"x-agent-session",
)
"""Header fields by their lower-case names, in order of precedence."""
_FIELDS: Final = frozenset(FIELDS)
_LONGEST: Final = 256


def conversation_of(
    fields: Mapping[bytes, bytes], parameters: Parameters | None = None
) -> str | None:
    """Return the id of the call's conversation or session, at most 256 printable characters.

    Header fields take precedence over the body's `conversation`. `prompt_cache_key` is not used:
    many conversations may share it. None if there is no id.
    """
    # Most calls have none of the fields: one look for all.
    for name in FIELDS if not _FIELDS.isdisjoint(fields) else ():
        value = fields.get(name)
        if value and (found := _clean(value.decode("latin-1"))):
            return found
    return None if parameters is None else _clean(parameters.conversation or "")


def _clean(value: str) -> str | None:
    value = value.strip()
    return value if 0 < len(value) <= _LONGEST and value.isprintable() else None
