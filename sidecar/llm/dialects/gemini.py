"""Google's Gemini API, at Google AI and at Vertex.

Sources: python-genai 3.6 (`models.py`: paths; `types.py`: replies; `_api_client.py`: streams, whose
errors come as bare lines; `errors.py`: also in a list of one); `google.rpc.Code`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.llm.dialects.base import (
    Operation,
    Parameters,
    Reply,
    Target,
    members,
    number,
    read,
    text,
    whole,
    without_query,
)
from sidecar.llm.dialects.gemini_stream import (
    Chunk,
    GeminiStream,
    decode_chunk,
    decode_chunks,
    ended,
)
from sidecar.llm.failures import failure_told
from sidecar.llm.usage import of_gemini

_STATUSES: Final = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_VERBS: Final[Mapping[str, Operation]] = {
    "generateContent": "generateContent",
    "streamGenerateContent": "streamGenerateContent",
    "embedContent": "embedContent",
    "batchEmbedContents": "batchEmbedContents",
    "countTokens": "countTokens",
    "batchGenerateContent": "batches",
}
_RESOURCES: Final[Mapping[str, Operation]] = {
    "models": "models",
    "files": "files",
    "batches": "batches",
    "interactions": "interactions",
}


class _Parameters(msgspec.Struct):
    generationConfig: Any = None  # noqa: N815 - Gemini's name
    generation_config: Any = None
    cachedContent: Any = None  # noqa: N815 - Gemini's name
    cached_content: Any = None


_parameters: Final = msgspec.json.Decoder(_Parameters).decode


class Gemini:
    """Gemini's dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """The operation is the verb behind the model's name."""
        path = without_query(path).rstrip("/")
        name, colon, verb = path.rpartition("/")[2].partition(":")
        if colon and method == b"POST":
            operation = _VERBS.get(verb, "other")
            return Target(operation, text(name), operation == "streamGenerateContent")
        names = path.split("/")
        return Target(next((_RESOURCES[name] for name in names if name in _RESOURCES), "other"))

    def parameters(self, body: bytes) -> Parameters:
        """Read `generationConfig`, in both spellings of protobuf's JSON."""
        found = read(_parameters, body)
        if found is None:
            return Parameters()
        config = members(found.generationConfig) or members(found.generation_config)
        thinking = members(_either(config, "thinkingConfig", "thinking_config"))
        return Parameters(
            max_tokens=whole(_either(config, "maxOutputTokens", "max_output_tokens")),
            temperature=number(config.get("temperature")),
            top_p=number(_either(config, "topP", "top_p")),
            top_k=whole(_either(config, "topK", "top_k")),
            n=whole(_either(config, "candidateCount", "candidate_count")),
            reasoning=text(_either(thinking, "thinkingLevel", "thinking_level")),
            cache_key=text(found.cachedContent or found.cached_content),
        )

    def reply(self, body: bytes) -> Reply | None:
        """Read a reply of generateContent, or the last one of a list."""
        if body[:64].lstrip().startswith(b"["):
            several = read(decode_chunks, body)
            found = several[-1] if several else None
        else:
            found = read(decode_chunk, body)
        if found is None:
            return None
        if found.error:
            return Reply(error=failure_told({"error": found.error}))
        return Reply(
            usage=of_gemini(found.usageMetadata),
            model=text(found.modelVersion),
            id=text(found.responseId),
            finish_reasons=_finish_reasons(found),
        )

    def stream(self) -> GeminiStream:
        """Return a reader for streamGenerateContent, with and without `alt=sse`."""
        return GeminiStream()

    def error(self, status: int, _: str, message: str, __: str) -> Mapping[str, object]:
        """It is a `google.rpc.Status`."""
        usual = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
        name = _STATUSES.get(status, usual)
        return {"error": {"code": status, "message": message, "status": name}}

    def error_event(self, data: bytes) -> bytes:
        """The SDKs look for an `error` in each chunk."""
        return b"data: " + data + b"\n\n"


GEMINI: Final = Gemini()


def _finish_reasons(found: Chunk) -> tuple[str, ...]:
    """Return those of the candidates, or the reason why the prompt was blocked."""
    if found.candidates:
        each = (candidate.finishReason for candidate in found.candidates)
        return tuple(reason for reason in each if ended(reason))
    blocked = found.promptFeedback.blockReason if found.promptFeedback else None
    return (blocked,) if ended(blocked) else ()


def _either(found: Mapping[str, Any], name: str, other: str) -> object:
    value = found.get(name)
    return found.get(other) if value is None else value
