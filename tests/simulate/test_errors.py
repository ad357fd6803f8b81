import json

import pytest

from sidecar.simulate.errors import error_body, error_headers


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
        (503, "service_unavailable", "overloaded"),
    ],
)
def test_openai_shape(status: int, kind: str, code: str | None) -> None:
    error = {"message": "why", "type": kind, "param": None, "code": code}
    assert json.loads(error_body("openai", status, "why")) == {"error": error}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_shape(status: int, kind: str) -> None:
    body = json.loads(error_body("anthropic", status, "why"))
    assert body["type"] == "error"
    assert body["error"] == {"type": kind, "message": "why"}


@pytest.mark.parametrize("status", [429, 503, 529])
def test_overload_says_when_to_come_back(status: int) -> None:
    assert error_headers(status, 0.25) == {"retry-after": "1", "retry-after-ms": "250"}


@pytest.mark.parametrize("status", [400, 404, 500, 502])
def test_other_errors_do_not(status: int) -> None:
    assert error_headers(status, 1.0) == {}
