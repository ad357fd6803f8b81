"""The protocol that each dialect implements, and the results of its methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from sidecar.llm.failures import MOST, Failure, failure_told
from sidecar.llm.stream import StreamReader
from sidecar.llm.usage import Usage

T = TypeVar("T")
_anything: Final = msgspec.json.Decoder().decode
_syntax: Final = msgspec.json.Decoder(msgspec.Raw).decode

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
"""The operation of a call. `other` is any unknown operation, which is passed on unread."""
READABLE: Final[frozenset[Operation]] = frozenset({
    "chat", "completions", "responses", "embeddings", "images", "audio", "messages",
    "generateContent", "streamGenerateContent", "converse",
})  # fmt: skip
"""Operations whose replies have a usage. Stored responses repeat that of an earlier call."""
JSON_VALUES: Final = READABLE - {"images", "audio", "streamGenerateContent"}
"""Operations whose replies are JSON, unless they are streams."""
_LONGEST: Final = 4096
"""Characters of an id or a name. Longer ones are ignored."""


class Target(NamedTuple):
    """The content of a request's method and path."""

    operation: Operation = "other"
    model: str | None = None
    """The model, or Azure's deployment, if the path names it."""
    stream: bool = False
    """Whether the path asks for a stream; for most APIs the body does."""


class Parameters(msgspec.Struct, frozen=True):
    """The parameters of a request's body, for traces and limits. None: absent or invalid.

    For routing, model and stream are read more strictly by `sidecar.llm.request`.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    """Number of answers."""
    stream: bool = False
    include_usage: bool = False
    """Whether the caller asks for the usage in an OpenAI stream."""
    reasoning: str | None = None
    """The reasoning effort, such as `low` or `high`."""
    conversation: str | None = None
    """The id of the conversation, if the body names it."""
    previous_response: str | None = None
    """The id of the stored response that the call continues."""
    cache_key: str | None = None
    """The key, or the name, of the prompt cache."""


class Reply(msgspec.Struct, frozen=True):
    """The content of a complete reply."""

    usage: Usage | None = None
    model: str | None = None
    """The model that answered."""
    id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    """The finish reason of each answer, in the API's own words."""
    error: Failure | None = None
    """The error, if the body is one, even with status 200."""


class Api(Protocol):
    """One dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """Read a request's method and its path, with or without a query."""
        ...

    def parameters(self, body: bytes) -> Parameters:
        """Read a request's body; without any parameters if it is no JSON."""
        ...

    def reply(self, body: bytes) -> Reply | None:
        """Read a complete reply; None if it is no JSON of this API."""
        ...

    def stream(self) -> StreamReader:
        """Return a reader for one stream."""
        ...

    def error(self, status: int, code: str, message: str, request_id: str) -> Mapping[str, object]:
        """Return an error in the form that the API's SDKs read."""
        ...

    def error_event(self, data: bytes) -> bytes:
        """Return an event with the error *data*; empty if the SDKs support none."""
        ...


def error_in(body: bytes) -> Failure:
    """Classify the error in *body*. A body that is too long is not read."""
    return failure_told(decoded(body) if len(body) <= MOST else None)


def decoded(body: bytes) -> Any:
    """Return a small *body* as JSON; None if it is none."""
    return read(_anything, body)


def read(decode: Callable[[bytes], T], body: bytes) -> T | None:
    """Return what *decode* reads from *body*; None if it fails.

    Large bodies are decoded into structs: the decoder skips the members that these don't have.
    """
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def is_json(body: bytes) -> bool:
    """Whether clients read *body* as JSON. They are as lenient as Python: `NaN` is a number."""
    if read(_syntax, body) is not None:
        return True
    try:
        json.loads(body)
    except RecursionError:  # too deep to be checked
        return True
    except ValueError:
        return False
    return True


def members(value: object) -> Mapping[str, Any]:
    """Return *value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def whole(value: object) -> int | None:
    """Return *value* if it is a whole number."""
    known = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if known and isinstance(value, int) else None


def number(value: object) -> float | None:
    """Return *value* if it is a number."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and isinstance(value, int | float) else None


def text(value: object) -> str | None:
    """Return *value* if it is a string, neither empty nor too long."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def without_query(path: str) -> str:
    """Return *path* without query, fragment, scheme and authority."""
    path = path.partition("?")[0].partition("#")[0]
    if "://" in path[:8]:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path
