"""Where each API has the bound on its answer and the sampling parameters, and bounds on them.

Sources: openai-python 3.57 (`CompletionCreateParams`: `max_tokens` is deprecated for chat, and not
known to the reasoning models; `ResponseCreateParams`), anthropic-sdk-python 2.14
(`MessageCreateParams`: `max_tokens` is required), python-genai 3.6 (`GenerateContentConfig`),
botocore's model of `bedrock-runtime` (`InferenceConfiguration`), Cohere's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from sidecar.llm.dialects import Dialect, Operation
from sidecar.llm.splice import Spliced

Path = tuple[str, ...]
Paths = tuple[Path, ...]
"""The member that is added where none is there, then the others that servers read."""
ChatField = Literal["max_completion_tokens", "max_tokens"]


class Fields(NamedTuple):
    """Where one operation has its parameters; empty: it has none."""

    max_tokens: Paths = ()
    temperature: Paths = ()
    top_p: Paths = ()


def _gemini(camel: str, snake: str) -> Paths:
    """Protobuf's JSON has two spellings, of the container too."""
    parents = ("generationConfig", "generation_config")
    names = (camel,) if camel == snake else (camel, snake)
    return tuple((parent, name) for parent in parents for name in names)


_TEMPERATURE: Final = (("temperature",),)
_TOP_P: Final = (("top_p",),)
_GENERATED: Final = Fields(
    _gemini("maxOutputTokens", "max_output_tokens"),
    _gemini("temperature", "temperature"),
    _gemini("topP", "top_p"),
)
_FIELDS: Final[Mapping[Operation, Fields]] = {
    "chat": Fields((("max_completion_tokens",), ("max_tokens",)), _TEMPERATURE, _TOP_P),
    "completions": Fields((("max_tokens",),), _TEMPERATURE, _TOP_P),
    "responses": Fields((("max_output_tokens",),), _TEMPERATURE, _TOP_P),
    "messages": Fields((("max_tokens",),), _TEMPERATURE, _TOP_P),
    "generateContent": _GENERATED,
    "streamGenerateContent": _GENERATED,
    "converse": Fields(
        (("inferenceConfig", "maxTokens"),),
        (("inferenceConfig", "temperature"),),
        (("inferenceConfig", "topP"),),
    ),
}
_NONE: Final = Fields()
_OLDER: Final = _FIELDS["chat"]._replace(max_tokens=(("max_tokens",), ("max_completion_tokens",)))
_COHERE: Final = Fields((("max_tokens",),), _TEMPERATURE, (("p",),))


def fields_of(dialect: Dialect, operation: Operation, chat_field: ChatField) -> Fields:
    """Return where a call has its parameters. Only OpenAI itself asks for another name in chat."""
    if operation == "chat":
        if dialect == "cohere":
            return _COHERE
        if dialect == "mistral" or chat_field == "max_tokens":
            return _OLDER
    return _FIELDS.get(operation, _NONE)


class Bounds(NamedTuple):
    """What a number becomes. None: as the caller says."""

    default: float | None = None
    """Where the caller gives none."""
    least: float | None = None
    most: float | None = None
    required: bool = False
    """Whether `most` also holds where the caller gives none and there is no default."""


def bound(body: Spliced, paths: Paths, bounds: Bounds, *, whole: bool) -> float | None:
    """Bring the number at *paths* within *bounds*; return what was set, None if nothing was.

    A *whole* number of tokens that is negative (llama.cpp: no bound) or none at all is brought
    down too, as some servers read texts as numbers. Of other values, only numbers are.
    """
    default = bounds.default
    if default is None and bounds.required:
        default = bounds.most
    if not any(body.has(path) for path in paths):
        if default is None or not paths:
            return None
        # Into the member that is there already, in whatever spelling.
        parents = (p for p in paths if body.values(p) or (p[:-1] and body.has(p[:-1])))
        body.put(next(parents, paths[0]), _number(default))
        return default
    done: float | None = None
    for path in paths:
        for value in body.values(path):
            new = _within(value, bounds, whole=whole)
            if new is not None:
                body.replace(path, _number(new))
                done = new
    return done


def _within(value: bytes, bounds: Bounds, *, whole: bool) -> float | None:
    """Return the number instead of *value*; None: it may stay."""
    try:
        number = msgspec.json.decode(value, type=float)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return bounds.most if whole and value != b"null" else None
    if bounds.most is not None and (number > bounds.most or (whole and number < 0)):
        return bounds.most
    if bounds.least is not None and number < bounds.least:
        return bounds.least
    return None


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else msgspec.json.encode(value)
