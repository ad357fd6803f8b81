"""OpenAI's API, as OpenAI, Azure, Groq, Mistral, vLLM, llama.cpp and many others speak it.

Sources: openai-python 3.57 (`resources/`, `types/`, `lib/azure.py`); OpenAI "Error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.llm.dialects.base import (
    Operation,
    Parameters,
    Reply,
    Target,
    decoded,
    number,
    text,
    whole,
    without_query,
)
from sidecar.llm.dialects.openai_stream import OpenAIStream
from sidecar.llm.failures import failure_told
from sidecar.llm.usage import Usage, of_openai

_TYPES: Final = {429: "requests"}
"""Of what is neither the caller's mistake nor the server's: how OpenAI calls its limit of calls."""
_CALLS: Final[tuple[tuple[str, Operation], ...]] = (
    ("/chat/completions", "chat"),
    ("/completions", "completions"),
    ("/responses/input_tokens", "input_tokens"),
    ("/responses/compact", "compact"),
    ("/responses", "responses"),
    ("/embeddings", "embeddings"),
)
"""How the paths end to which a POST asks a model; whatever stands in front of it."""
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


class OpenAI:
    """OpenAI's, which is Mistral's too but for the errors."""

    def target(self, method: bytes, path: str) -> Target:
        """By the path's end for what asks a model, else by its first name that is a resource's."""
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
        """Of chat, completions and Responses."""
        found = decoded(body)
        if not isinstance(found, dict):
            return Parameters()
        options = _members(found, "stream_options")
        conversation = found.get("conversation")
        if isinstance(conversation, dict):
            conversation = conversation.get("id")
        bounds = ("max_completion_tokens", "max_output_tokens", "max_tokens")
        effort = found.get("reasoning_effort") or _members(found, "reasoning").get("effort")
        return Parameters(
            max_tokens=next((n for name in bounds if (n := whole(found.get(name)))), None),
            temperature=number(found.get("temperature")),
            top_p=number(found.get("top_p")),
            top_k=whole(found.get("top_k")),
            n=whole(found.get("n")),
            stream=found.get("stream") is True,
            include_usage=options.get("include_usage") is True,
            reasoning=text(effort),
            conversation=text(conversation),
            previous_response=text(found.get("previous_response_id")),
            cache_key=text(found.get("prompt_cache_key")),
        )

    def reply(self, body: bytes) -> Reply | None:
        """Of a chat, a completion, an embedding, a response or an image."""
        found = decoded(body)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]  # Google's errors come so, also from its API for OpenAI's SDKs
        if not isinstance(found, dict):
            return None
        return Reply(
            usage=self.usage(found),
            model=text(found.get("model")),
            id=text(found.get("id")),
            finish_reasons=_finish_reasons(found),
            error=failure_told(found) if found.get("error") or _is_error(found) else None,
        )

    def usage(self, found: Mapping[str, Any]) -> Usage | None:
        """The usage that a reply tells."""
        if found.get("object") == "response.input_tokens":
            return None  # a count of what might be asked
        return of_openai(found.get("usage"))

    def stream(self) -> OpenAIStream:
        """Of chat, completions and Responses."""
        return OpenAIStream()

    def error(self, status: int, code: str, message: str, _: str) -> Mapping[str, object]:
        """With a type that tells whose mistake it was."""
        return {"error": error_fields(status, code, message)}

    def error_event(self, data: bytes) -> bytes:
        """Its SDKs raise at an `error` in whatever event."""
        return b"data: " + data + b"\n\n"


OPENAI: Final = OpenAI()


def error_fields(status: int, code: str, message: str) -> dict[str, object]:
    """Of an error, as OpenAI and Mistral have it."""
    usual = "invalid_request_error" if status < 500 else "server_error"
    kind = _TYPES.get(status, usual)
    return {"message": message, "type": kind, "param": None, "code": code}


def _is_error(found: Mapping[str, Any]) -> bool:
    """Mistral's and vLLM's have it at the top."""
    return found.get("object") == "error"


def _finish_reasons(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the choices; of a response its status, or why it is incomplete."""
    choices = found.get("choices")
    if isinstance(choices, list):
        reasons = (choice.get("finish_reason") for choice in choices if isinstance(choice, dict))
        return tuple(reason for reason in reasons if isinstance(reason, str))
    if found.get("object") != "response":
        return ()
    reason = _members(found, "incomplete_details").get("reason") or found.get("status")
    return (reason,) if isinstance(reason, str) else ()


def _members(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}
