"""Errors as each API's own SDKs expect them."""

import json

import pytest

from sidecar.llm.dialects import Dialect, error_body, error_event, of_path


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/v1/chat/completions", "openai"),
        (b"/v1/messages", "anthropic"),
        (b"/v1/messages/count_tokens", "anthropic"),
        (b"/anthropic/v1/models", "anthropic"),
        (b"/v1beta/models/gemini:generateContent", "gemini"),
        (b"/gemini/x", "gemini"),
        (b"/", "openai"),
        (b"*", "openai"),
        (b"\xff", "openai"),
    ],
)
def test_the_dialect_of_a_path(path: bytes, dialect: Dialect) -> None:
    assert of_path(path) == dialect


def test_openai() -> None:
    assert json.loads(error_body("openai", 504, "idle_timeout", "silent", "r1")) == {
        "error": {
            "message": "silent",
            "type": "server_error",
            "param": None,
            "code": "idle_timeout",
        }
    }


@pytest.mark.parametrize("status", [400, 404])
def test_openai_says_who_is_to_blame(status: int) -> None:
    error = json.loads(error_body("openai", status, "c", "m", "r"))["error"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_anthropic(status: int, kind: str) -> None:
    assert json.loads(error_body("anthropic", status, "c", "m", "r1")) == {
        "type": "error",
        "error": {"type": kind, "message": "m"},
        "request_id": "r1",
    }


@pytest.mark.parametrize(
    ("status", "name"), [(404, "NOT_FOUND"), (504, "DEADLINE_EXCEEDED"), (431, "UNKNOWN")]
)
def test_gemini(status: int, name: str) -> None:
    assert json.loads(error_body("gemini", status, "c", "m", "r")) == {
        "error": {"code": status, "message": "m", "status": name}
    }


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_an_event_is_one_event(dialect: Dialect) -> None:
    event = error_event(dialect, 502, "c", "two\nlines\r\n", "r").decode()
    assert event.endswith("\n\n")
    lines = event[:-2].split("\n")
    assert lines[:-1] == (["event: error"] if dialect == "anthropic" else [])
    assert json.loads(lines[-1].removeprefix("data: "))
