"""Deterministic prose: what a simulated model says, and how long a prompt it was given."""

from __future__ import annotations

import re
from hashlib import blake2b
from itertools import cycle, islice
from typing import Any, Final

from sidecar.simulate.behaviour import MAX_TOKENS

# A long word is several tokens, so that a token stays small whatever the prompt.
_TOKEN: Final = re.compile(r"\S{1,12}")

CREATED: Final = 1_700_000_000
"""The Unix second at which every reply was made: the same request gets the same bytes."""


def say(prompt: str, tokens: int) -> list[str]:
    """*tokens* short pieces that echo *prompt*, round and round; at most `MAX_TOKENS` of them."""
    heard = islice(_TOKEN.finditer(f"You said: {prompt}"), MAX_TOKENS)
    return list(islice(cycle([match[0] + " " for match in heard]), min(tokens, MAX_TOKENS)))


def count_tokens(text: str) -> int:
    """Roughly what a tokenizer would count: a token for four characters."""
    return max(1, len(text) // 4)


def identify(raw: bytes, prefix: str) -> str:
    """An id that is a function of the request."""
    return prefix + blake2b(raw, digest_size=12).hexdigest()


def flatten(content: Any) -> str:
    """The text of a message's content: a string, or parts that may have a `text`."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(_part(part) for part in parts)


def _part(part: Any) -> str:
    text = part.get("text", "") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""
