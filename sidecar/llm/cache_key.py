"""Which calls are the same: a digest of all that their answer depends on.

Two calls with one digest may get one reply, so what is not understood makes digests differ. A body
is compared as a value (order of members and white space don't matter) only if it says exactly what
its value says: with a member named twice, or a number that other readers may read differently, its
bytes are compared instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

SAME_FIELDS: Final = frozenset(
    {"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
"""Members of a body that tell the provider who asks, and change no answer. OpenAI's Responses
repeat them in the reply, so there they count."""
ANSWERS: Final = frozenset({
    "chat", "completions", "responses", "embeddings", "messages", "generateContent",
    "streamGenerateContent", "converse",
})  # fmt: skip
"""Operations whose replies answer the body, and nothing else."""
_CONFIGS: Final = ("generationConfig", "inferenceConfig")
"""Where Gemini and Bedrock's Converse keep the temperature."""
_SIZE: Final = 20
_decode: Final = msgspec.json.Decoder().decode
_plain: Final = msgspec.json.Encoder().encode
_sorted: Final = msgspec.json.Encoder(order="deterministic").encode


class KeySettings(NamedTuple):
    """How calls are compared."""

    always: bool = False
    """Whether calls qualify that ask for no repeatable answer."""
    shared: bool = False
    """Whether calls of different callers may be the same."""
    headers: tuple[bytes, ...] = ()
    """Lower-case names of headers whose values must be equal too."""
    ignore: frozenset[str] = frozenset()
    """Further members of bodies that don't matter."""


def comparable(body: bytes, operation: str, settings: KeySettings) -> bytes | None:
    """Return what of *body* must be equal; None if the call does not qualify.

    A call qualifies if it changes nothing at the provider, and its answer repeats: the temperature
    is 0, or it has a seed, or it asks for embeddings.
    """
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or _changes_something(value):
        return None
    if not (settings.always or operation == "embeddings" or _repeats(value)):
        return None
    compact = msgspec.json.format(body, indent=-1)
    if _plain(value) != compact:
        return b"=" + compact
    ignored = settings.ignore if operation == "responses" else settings.ignore | SAME_FIELDS
    for name in ignored & value.keys():
        del value[name]
    if value.get("stream") is False:
        del value["stream"]
    return b"~" + _sorted(value)


def digest(parts: Iterable[bytes]) -> bytes:
    """Return a digest of *parts*; it depends on where each of them ends."""
    found = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.digest()


def of_mapping(values: Mapping[Any, Any]) -> bytes:
    """Return a mapping of names to texts as bytes, in order."""
    return _sorted({str(name): str(value) for name, value in values.items()})


def _changes_something(value: Mapping[str, Any]) -> bool:
    """Whether the provider keeps something for later: the call must reach it."""
    return bool(value.get("background") or value.get("conversation") or value.get("store"))


def _repeats(value: Mapping[str, Any]) -> bool:
    parts = [value, *(part for name in _CONFIGS if isinstance(part := value.get(name), dict))]
    return any(
        (_is_zero(part.get("temperature")))
        or part.get("seed") is not None
        or part.get("random_seed") is not None
        for part in parts
    )


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0
