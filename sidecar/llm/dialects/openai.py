"""OpenAI's API, which Azure, Groq, Mistral, vLLM, llama.cpp and many others share.

Sources: openai-python 3.57 (`resources/`, `types/`, `lib/azure.py`); OpenAI "Error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from sidecar.llm.dialects.base import (
    Operation,
    Parameters,
    Reply,
    Target,
    decoded,
    error_in,
    members,
    number,
    read,
    text,
    whole,
    without_query,
)
from sidecar.llm.dialects.openai_stream import OpenAIStream
from sidecar.llm.failures import MOST, failure_told
from sidecar.llm.usage import Usage, of_openai

_TYPES: Final = {429: "requests"}
"""Types of errors that differ from their class of status."""
_CALLS: Final[tuple[tuple[str, Operation], ...]] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/responses/input_tokens", "input_tokens"),
    ("/responses/compact", "compact"),
    ("/responses", "responses"),
    ("/embeddings", "embeddings"),
)
"""The ends of the paths for POST requests to a model, after any prefix."""
_RESOURCES: Final[Mapping[str, Operation]] = {
    "responses": "stored_responses",
    "conversations": "conversations",
    "models": "models",
    "images": "images",
    "audio": "audio",
    "videos": "videos",
    "files": "files",
    "batches": "batches",
}
_DEPLOYMENTS: Final = "/openai/deployments/"


class _Parameters(msgspec.Struct):
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    n: Any = None
    stream: Any = None
    stream_options: Any = None
    reasoning_effort: Any = None
    reasoning: Any = None
    conversation: Any = None
    previous_response_id: Any = None
    prompt_cache_key: Any = None


class _Choice(msgspec.Struct):
    finish_reason: Any = None


class _Reply(msgspec.Struct):
    object: Any = None
    id: Any = None
    model: Any = None
    status: Any = None
    choices: list[_Choice] | None = None
    incomplete_details: Any = None
    usage: Any = None
    error: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _UsualChoice(msgspec.Struct, gc=False):
    finish_reason: _Text


class _Usual(msgspec.Struct, gc=False):
    """What nearly every reply of chat has, and in this form: checked while it is decoded, which
    takes a third of the time of looking at each member."""

    object: Literal["chat.completion"]
    id: _Text
    model: _Text
    choices: list[_UsualChoice]
    usage: _Usage
    error: None = None


_NO_DETAILS: Final = _Details()
_usual: Final = msgspec.json.Decoder(_Usual).decode
_parameters: Final = msgspec.json.Decoder(_Parameters).decode
_reply: Final = msgspec.json.Decoder(_Reply).decode


class OpenAI:
    """OpenAI's dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """Requests to a model are known by the path's end, others by the first resource in it."""
        path = without_query(path).rstrip("/")
        before, found, rest = path.partition(_DEPLOYMENTS)
        model = None
        if found:
            deployment, _, rest = rest.partition("/")
            model, path = text(deployment), f"{before}/{rest}"
        if method == b"POST":
            for end, operation in _CALLS:
                if path.endswith(end):
                    return Target(operation, model)
        names = path.split("/")
        return Target(
            next((_RESOURCES[name] for name in names if name in _RESOURCES), "other"), model
        )

    def parameters(self, body: bytes) -> Parameters:
        """Read the parameters of chat, completions and Responses."""
        found = read(_parameters, body)
        if found is None:
            return Parameters()
        conversation = members(found.conversation).get("id") or found.conversation
        bounds = (found.max_completion_tokens, found.max_output_tokens, found.max_tokens)
        effort = found.reasoning_effort or members(found.reasoning).get("effort")
        return Parameters(
            max_tokens=next((n for bound in bounds if (n := whole(bound))), None),
            temperature=number(found.temperature),
            top_p=number(found.top_p),
            top_k=whole(found.top_k),
            n=whole(found.n),
            stream=found.stream is True,
            include_usage=members(found.stream_options).get("include_usage") is True,
            reasoning=text(effort),
            conversation=text(conversation),
            previous_response=text(found.previous_response_id),
            cache_key=text(found.prompt_cache_key),
        )

    def reply(self, body: bytes) -> Reply | None:
        """Read a chat, a completion, an embedding, a response or an image."""
        try:
            usual = _usual(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        else:
            reasons = tuple([choice.finish_reason for choice in usual.choices])
            return Reply(_usage(usual.usage), usual.model, usual.id, reasons)
        found = read(_reply, body)
        if found is None:
            return _listed_error(body)
        # Mistral's and vLLM's errors have their fields on the top.
        failed = bool(found.error) or found.object == "error"
        return Reply(
            usage=of_openai(found.usage),
            model=text(found.model),
            id=text(found.id),
            finish_reasons=_finish_reasons(found),
            error=error_in(body) if failed else None,
        )

    def stream(self) -> OpenAIStream:
        """Return a reader for chat, completions and Responses."""
        return OpenAIStream()

    def error(self, status: int, code: str, message: str, _: str) -> Mapping[str, object]:
        """Its type tells whether the caller or the server made the mistake."""
        return {"error": error_fields(status, code, message)}

    def error_event(self, data: bytes) -> bytes:
        """The SDKs raise at an `error` in any event."""
        return b"data: " + data + b"\n\n"


OPENAI: Final = OpenAI()


def _usage(told: _Usage) -> Usage:
    into = told.prompt_tokens_details or _NO_DETAILS
    out = told.completion_tokens_details or _NO_DETAILS
    return Usage(
        told.prompt_tokens,
        into.cached_tokens or 0,
        into.cache_write_tokens or 0,
        told.completion_tokens or 0,
        out.reasoning_tokens or 0,
    )


def error_fields(status: int, code: str, message: str) -> dict[str, object]:
    """Return the members of an error, for OpenAI and Mistral."""
    usual = "invalid_request_error" if status < 500 else "server_error"
    kind = _TYPES.get(status, usual)
    return {"message": message, "type": kind, "param": None, "code": code}


def _listed_error(body: bytes) -> Reply | None:
    """Read an error in a list, which Google's API for OpenAI's SDKs sends."""
    listed = body[:64].lstrip().startswith(b"[") and len(body) <= MOST
    told = decoded(body) if listed else None
    error = members(told[0]) if told else {}
    return Reply(error=failure_told(error)) if error.get("error") else None


def _finish_reasons(found: _Reply) -> tuple[str, ...]:
    """Return those of the choices, or the status of a response."""
    if found.choices is not None:
        reasons = (choice.finish_reason for choice in found.choices)
        return tuple(reason for reason in reasons if isinstance(reason, str))
    if found.object != "response":
        return ()
    reason = members(found.incomplete_details).get("reason") or found.status
    return (reason,) if isinstance(reason, str) else ()
