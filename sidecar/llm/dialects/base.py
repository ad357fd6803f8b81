"""What there is to know of an API: the protocol that each dialect's file answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from sidecar.llm.failures import MOST, Failure, failure_told
from sidecar.llm.stream import StreamReader
from sidecar.llm.usage import Usage

T = TypeVar("T")
_anything: Final = msgspec.json.Decoder().decode

Dialect = Literal["openai", "anthropic", "gemini", "mistral", "cohere"]

Operation = Literal[
    # OpenAI and those that speak as it does
    "chat", "completions", "responses", "stored_responses", "input_tokens", "compact",
    "conversations", "embeddings", "models", "images", "audio", "videos", "files", "batches",
    # Anthropic
    "messages", "count_tokens",
    # Gemini
    "generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents",
    "countTokens", "interactions",
    # Bedrock
    "converse",
    "other",
]  # fmt: skip
"""What a call asks for. `other` is passed on like all else; nothing more is known of it."""
READABLE: Final[frozenset[Operation]] = frozenset({
    "chat", "completions", "responses", "embeddings", "images", "audio", "messages",
    "generateContent", "streamGenerateContent", "converse",
})  # fmt: skip
"""Whose replies tell a usage. That of a stored response was told before, when it was made."""
_LONGEST: Final = 4096
"""Characters of an id or a name. What is longer is none."""


class Target(NamedTuple):
    """What a request's method and path say."""

    operation: Operation = "other"
    model: str | None = None
    """The model, or Azure's deployment, where the path names it."""
    stream: bool = False
    """Whether the path asks for a stream; for most APIs the body does."""


class Parameters(msgspec.Struct, frozen=True):
    """What a body asks for, as far as traces and limits care. None: not said, or in no known form.

    The model and whether to stream are read for routing already, by `sidecar.llm.request`.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    """Answers that are asked for."""
    stream: bool = False
    include_usage: bool = False
    """Whether the caller wants the usage in a stream of OpenAI's."""
    reasoning: str | None = None
    """How hard to think: `low`, `high`."""
    conversation: str | None = None
    """The conversation that the call belongs to, where the body names it."""
    previous_response: str | None = None
    """The stored response that it goes on from."""
    cache_key: str | None = None
    """What calls have in common that share a beginning."""


class Reply(msgspec.Struct, frozen=True):
    """What a whole reply says."""

    usage: Usage | None = None
    model: str | None = None
    """The model that answered."""
    id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    """In the API's own words, one for each answer."""
    error: Failure | None = None
    """Where the body is an error, whatever its status is."""


class Api(Protocol):
    """One dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """What a request asks for by its method and its path, which may have a query."""
        ...

    def parameters(self, body: bytes) -> Parameters:
        """What a request's body asks for; nothing where it is no JSON."""
        ...

    def reply(self, body: bytes) -> Reply | None:
        """What a whole reply says; None where it is not JSON of this API."""
        ...

    def stream(self) -> StreamReader:
        """A reader for one stream of this API."""
        ...

    def error(self, status: int, code: str, message: str, request_id: str) -> Mapping[str, object]:
        """An error as its SDKs read it."""
        ...

    def error_event(self, data: bytes) -> bytes:
        """An event with the error *data*, or nothing where the SDKs know no such event."""
        ...


def error_in(body: bytes) -> Failure:
    """The failure that a body tells which is an error. A long one is not looked into."""
    return failure_told(decoded(body) if len(body) <= MOST else None)


def decoded(body: bytes) -> Any:
    """*body*, which is small, as JSON; None where it is none."""
    return read(_anything, body)


def read(decode: Callable[[bytes], T], body: bytes) -> T | None:
    """*body* as *decode* reads it; None where it can't.

    Bodies of any size are read into structs: of what these don't name, nothing is made.
    """
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def members(value: object) -> Mapping[str, Any]:
    """*value* where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def whole(value: object) -> int | None:
    """*value* where it is a whole number."""
    known = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if known and isinstance(value, int) else None


def number(value: object) -> float | None:
    """*value* where it is a number."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and isinstance(value, int | float) else None


def text(value: object) -> str | None:
    """*value* where it is a text that says something and is of a sensible length."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def without_query(path: str) -> str:
    """*path* without query and fragment, scheme and authority."""
    path = path.partition("?")[0].partition("#")[0]
    if "://" in path[:8]:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path
