"""How full the buckets of a provider's limits are, as the fields of its replies tell.

Sources: OpenAI's and Groq's pages on rate limits (`x-ratelimit-limit-requests`), Anthropic's
(`anthropic-ratelimit-input-tokens-limit`), Cerebras's (`x-ratelimit-limit-tokens-minute`). Azure's
Responses API tells -1 for what it does not know. Groq's requests are of a day: such a bucket takes
long to fill, and tells nothing about a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from sidecar.llm.waits import until

LevelKind = Literal["requests", "tokens", "input", "output"]

_FIELDS: Final[tuple[tuple[LevelKind, bytes, bytes, bytes], ...]] = tuple(
    (kind, b"x-ratelimit-limit-%b" % name, b"x-ratelimit-remaining-%b" % name,
     b"x-ratelimit-reset-%b" % name)
    for kind, name in (
        ("requests", b"requests"), ("tokens", b"tokens"),
        ("requests", b"requests-minute"), ("tokens", b"tokens-minute"),
    )
) + tuple(
    (kind, b"anthropic-ratelimit-%b-limit" % name, b"anthropic-ratelimit-%b-remaining" % name,
     b"anthropic-ratelimit-%b-reset" % name)
    for kind, name in (
        ("requests", b"requests"), ("tokens", b"tokens"),
        ("input", b"input-tokens"), ("output", b"output-tokens"),
    )
)  # type: ignore[assignment]  # fmt: skip
_NUMBER: Final = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_MINUTES: Final = 600.0
"""Seconds. A bucket that needs longer to be full is not of a minute."""


class Level(NamedTuple):
    """One bucket."""

    kind: LevelKind
    limit: float
    remaining: float
    reset: float | None = None
    """Seconds until it is full; None: it does not say."""


def levels(fields: Mapping[bytes, bytes], unix_now: float) -> list[Level]:
    """Read the buckets of a minute that *fields* tell of. *unix_now*: the wall clock's time."""
    found = []
    for kind, limit_field, remaining_field, reset_field in _FIELDS:
        limit = _number(fields.get(limit_field))
        remaining = _number(fields.get(remaining_field))
        if not limit or remaining is None:
            continue
        reset = fields.get(reset_field)
        after = None if reset is None else until(reset.decode("latin-1"), unix_now)
        if after is None or after <= _MINUTES:
            found.append(Level(kind, limit, min(remaining, limit), after))
    return found


def _number(text: bytes | None) -> float | None:
    """Return a number that is not negative; None if there is none."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    return float(text)
