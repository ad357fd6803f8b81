"""Errors in the shape that an API's own SDKs read, so that they raise the exception that fits.

Sources: OpenAI "Error codes" and what its API sends; Anthropic "Errors"; Google `google.rpc.Code`;
Mistral's and Cohere's API references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

Dialect = Literal["openai", "anthropic", "gemini", "mistral", "cohere"]

_OPENAI_TYPES: Final = {429: "requests"}
"""Of what is neither the caller's mistake nor the server's: how OpenAI calls its limit of calls."""
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GEMINI_STATUSES: Final = {
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


def of_request(target: bytes, fields: Mapping[bytes, bytes]) -> Dialect:
    """The API that a request is meant for, for errors before a route is known."""
    if b"/v1/messages" in target or b"/anthropic" in target or b"anthropic-version" in fields:
        return "anthropic"
    if b"/v1beta/" in target or b"/gemini" in target or b"x-goog-api-key" in fields:
        return "gemini"
    return "openai"


def error_body(dialect: Dialect, status: int, code: str, message: str, request_id: str) -> bytes:
    """The JSON body of an error reply."""
    return msgspec.json.encode(_SHAPES[dialect](status, code, message, request_id))


def error_event(dialect: Dialect, status: int, code: str, message: str, request_id: str) -> bytes:
    """A server-sent event that makes the SDKs raise within a stream.

    Empty for APIs that have none: their SDKs would take it for a broken event, or pass it over.
    What makes them raise is the end of the connection.
    """
    if dialect in ("mistral", "cohere"):
        return b""
    data = error_body(dialect, status, code, message, request_id)
    event = b"event: error\n" if dialect == "anthropic" else b""
    return event + b"data: " + data + b"\n\n"


def _openai(status: int, code: str, message: str, _: str) -> dict[str, object]:
    return {"error": {"message": message, "type": _type(status), "param": None, "code": code}}


def _type(status: int) -> str:
    usual = "invalid_request_error" if status < 500 else "server_error"
    return _OPENAI_TYPES.get(status, usual)


def _anthropic(status: int, _: str, message: str, request_id: str) -> dict[str, object]:
    usual = "invalid_request_error" if status < 500 else "api_error"
    error = {"type": _ANTHROPIC_TYPES.get(status, usual), "message": message}
    return {"type": "error", "error": error, "request_id": request_id}


def _gemini(status: int, _: str, message: str, __: str) -> dict[str, object]:
    usual = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
    name = _GEMINI_STATUSES.get(status, usual)
    return {"error": {"code": status, "message": message, "status": name}}


def _mistral(status: int, code: str, message: str, _: str) -> dict[str, object]:
    fields = {"message": message, "type": _type(status), "param": None, "code": code}
    return {"object": "error", **fields}


def _cohere(_: int, __: str, message: str, request_id: str) -> dict[str, object]:
    return {"id": request_id, "message": message}


_SHAPES: Final[Mapping[Dialect, Callable[[int, str, str, str], dict[str, object]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "mistral": _mistral,
    "cohere": _cohere,
}
