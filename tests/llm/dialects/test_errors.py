"""Errors as each API's own SDKs expect them."""

import json
from typing import Any, get_args

import pytest

from sidecar.llm.dialects import Dialect, error_body, error_event, of_request

STATUSES = (
    *(400, 401, 403, 404, 405, 408, 413, 414, 421, 429, 431),
    *(499, 500, 501, 502, 503, 504, 505, 508, 529),
)


@pytest.mark.parametrize(
    ("target", "field", "dialect"),
    [
        (b"/v1/chat/completions", None, "openai"),
        (b"/v1/messages", None, "anthropic"),
        (b"/v1/messages/count_tokens", None, "anthropic"),
        (b"/anthropic/v1/models", None, "anthropic"),
        (b"https://api.anthropic.com/v1/messages?beta=true", None, "anthropic"),
        (b"/v1/files", b"anthropic-version", "anthropic"),
        (b"/v1beta/models/gemini:generateContent", None, "gemini"),
        (b"/gemini/x", None, "gemini"),
        (b"/v1/models/gemini:generateContent", b"x-goog-api-key", "gemini"),
        (b"/", None, "openai"),
        (b"*", None, "openai"),
        (b"", None, "openai"),
        (b"\xff", b"x-api-key", "openai"),
    ],
)
def test_the_dialect_of_a_request(target: bytes, field: bytes | None, dialect: Dialect) -> None:
    assert of_request(target, {field: b""} if field else {}) == dialect


def body(dialect: Dialect, status: int) -> Any:
    return json.loads(error_body(dialect, status, "c", "m", "r1"))


@pytest.mark.parametrize("status", STATUSES)
def test_openai(status: int) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    kind = {429: "requests"}.get(status, kind)
    expected = {"message": "m", "type": kind, "param": None, "code": "c"}
    assert body("openai", status) == {"error": expected}
    assert body("mistral", status) == {"object": "error", **expected}


@pytest.mark.parametrize("status", STATUSES)
def test_cohere(status: int) -> None:
    assert body("cohere", status) == {"id": "r1", "message": "m"}


ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@pytest.mark.parametrize(("status", "kind"), ANTHROPIC.items())
def test_anthropic(status: int, kind: str) -> None:
    error = {"type": kind, "message": "m"}
    assert body("anthropic", status) == {"type": "error", "error": error, "request_id": "r1"}


GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    508: "INTERNAL",
}


@pytest.mark.parametrize(("status", "name"), GEMINI.items())
def test_gemini(status: int, name: str) -> None:
    assert body("gemini", status) == {"error": {"code": status, "message": "m", "status": name}}


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_an_event_is_one_event(dialect: Dialect) -> None:
    event = error_event(dialect, 502, "c", "two\nlines\r\n", "r").decode()
    assert event.endswith("\n\n")
    lines = event[:-2].split("\n")
    assert lines[:-1] == (["event: error"] if dialect == "anthropic" else [])
    assert json.loads(lines[-1].removeprefix("data: "))


def test_some_have_none() -> None:
    without = [d for d in get_args(Dialect) if not error_event(d, 502, "c", "m", "r")]
    assert without == ["mistral", "cohere"]
