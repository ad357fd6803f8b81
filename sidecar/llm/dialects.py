"""Errors in the shape that an API's own SDKs read, so that they raise the exception that fits.

Sources: OpenAI "Error codes" and openai-python `_exceptions.py`; Anthropic "Errors"; Google
`google.rpc.Status`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Dialect = Literal["openai", "anthropic", "gemini"]

_OPENAI_TYPES: Final = {400: "invalid_request_error", 404: "invalid_request_error"}
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
    504: "timeout_error",
}
_GEMINI_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def of_path(path: bytes) -> Dialect:
    """The API that a path belongs to, for errors before a route is known."""
    if b"/v1/messages" in path or b"/anthropic" in path:
        return "anthropic"
    if b"/v1beta/" in path or b"/gemini" in path:
        return "gemini"
    return "openai"


def error_body(dialect: Dialect, status: int, code: str, message: str, request_id: str) -> bytes:
    """The JSON body of an error reply."""
    return msgspec.json.encode(_error(dialect, status, code, message, request_id))


def error_event(dialect: Dialect, status: int, code: str, message: str, request_id: str) -> bytes:
    """A server-sent event that makes the SDKs raise within a stream."""
    data = error_body(dialect, status, code, message, request_id)
    event = b"event: error\n" if dialect == "anthropic" else b""
    return event + b"data: " + data + b"\n\n"


def _error(
    dialect: Dialect, status: int, code: str, message: str, request_id: str
) -> dict[str, object]:
    if dialect == "anthropic":
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        error = {"type": kind, "message": message}
        return {"type": "error", "error": error, "request_id": request_id}
    if dialect == "gemini":
        name = _GEMINI_STATUSES.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": message, "status": name}}
    kind = _OPENAI_TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
