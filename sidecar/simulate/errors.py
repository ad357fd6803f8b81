"""Error replies in the shape of the API that was called, so that its SDK raises what fits."""

from __future__ import annotations

from math import ceil
from typing import Final

from sidecar.simulate.answer import encode

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# https://platform.openai.com/docs/guides/error-codes
_OPENAI: Final = {
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable", "overloaded"),
    529: ("service_unavailable", "overloaded"),
}
_WAITED_FOR: Final = frozenset((429, 503, 529))


def error_body(dialect: str, status: int, message: str) -> bytes:
    """JSON of an error in *dialect* (`openai` or `anthropic`)."""
    if dialect == "anthropic":
        kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"type": kind, "message": message}
        return encode({"type": "error", "error": error, "request_id": "req_simulated"})
    kind, code = _OPENAI.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    return encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_stream(dialect: str, status: int, message: str) -> bytes:
    """The same as an event of a stream."""
    name = b"event: error\n" if dialect == "anthropic" else b""
    return name + b"data: " + error_body(dialect, status, message) + b"\n\n"


def error_headers(status: int, retry_after: float) -> dict[str, str]:
    """Retry-After (whole seconds, RFC 9110 10.2.3) and the exact retry-after-ms the SDKs prefer."""
    if status not in _WAITED_FOR:
        return {}
    return {
        "retry-after": str(ceil(retry_after)),
        "retry-after-ms": str(round(retry_after * 1000)),
    }
