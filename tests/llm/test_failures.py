"""What kind of failure a reply is, in the forms that the providers document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.failures import MOST, Kind, failure_told, read_failure


def openai(message: str = "m", kind: str | None = None, code: Any = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str = "m", code: str | None = None) -> Any:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_1"}


def gemini(code: int, status: str, message: str = "m", *details: Any) -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46s"}
SENTENCE = "This model's maximum context length is 8192 tokens. However, you asked for 9000."
BILLING = "Your credit balance is too low to access the Anthropic API."
CASES: list[tuple[int, Any, Kind]] = [
    (429, openai(kind="tokens", code="rate_limit_exceeded"), "rate_limit"),
    (429, openai(kind="requests", code="slow_down"), "rate_limit"),
    (429, openai(kind="insufficient_quota", code="insufficient_quota"), "money"),
    (429, openai(kind="insufficient_quota", code="credit_balance_exhausted"), "money"),
    (429, openai(kind="insufficient_quota", code="rate_limit_exceeded"), "money"),
    (429, openai(kind="x", code="project_spend_limit_exceeded"), "money"),
    (403, openai(kind="x", code="billing_not_active"), "money"),
    (503, openai(kind="service_unavailable_error", code="server_is_overloaded"), "overload"),
    (429, openai(code="flex_unavailable"), "overload"),
    (400, openai(kind="invalid_request_error", code="context_length_exceeded"), "context_length"),
    (400, openai(SENTENCE, "BadRequestError", 400), "context_length"),  # vLLM
    (400, openai("x", "exceed_context_size_error", 400), "context_length"),  # llama.cpp
    (400, openai(kind="invalid_request_error", code="content_policy_violation"), "content_filter"),
    (400, openai(kind="invalid_request_error", code="invalid_prompt"), "content_filter"),
    (401, openai(kind="invalid_request_error", code="invalid_api_key"), "authentication"),
    (404, openai(kind="invalid_request_error", code="model_not_found"), "bad_request"),
    (500, openai(kind="server_error"), "server"),
    (498, openai("no capacity"), "overload"),  # Groq
    (429, {"error": {"code": "429", "message": "Requests have exceeded"}}, "rate_limit"),  # Azure
    (429, {"error": {"code": "429", "message": "high demand right now"}}, "overload"),
    (
        400,
        {"error": {"code": "content_filter", "innererror": {
            "code": "ResponsibleAIPolicyViolation"}}},
        "content_filter",
    ),
    (429, anthropic("rate_limit_error"), "rate_limit"),
    (429, anthropic("rate_limit_error", code="ramp_limit_exceeded"), "rate_limit"),
    (429, anthropic("rate_limit_error", code="enforced_spend_limit_reached"), "money"),
    (429, anthropic("rate_limit_error", code="contract_spend_limit_reached"), "money"),
    (402, anthropic("billing_error"), "money"),
    (402, anthropic("x", code="linked_organization_spend_limit_reached"), "money"),
    (400, anthropic("invalid_request_error", BILLING), "money"),
    (400, anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8"), "context_length"),
    (400, anthropic("invalid_request_error", "max_tokens: required"), "bad_request"),
    (413, anthropic("request_too_large"), "bad_request"),
    (529, anthropic("overloaded_error"), "overload"),
    (500, anthropic("api_error"), "server"),
    (504, anthropic("timeout_error"), "server"),
    (401, anthropic("authentication_error"), "authentication"),
    (403, anthropic("permission_error"), "authentication"),
    (429, gemini(429, "RESOURCE_EXHAUSTED"), "rate_limit"),
    (503, gemini(503, "UNAVAILABLE"), "overload"),
    (500, gemini(500, "INTERNAL"), "server"),
    (504, gemini(504, "DEADLINE_EXCEEDED"), "server"),
    (400, gemini(400, "INVALID_ARGUMENT", "m", {"reason": "API_KEY_INVALID"}), "authentication"),
    (
        400,
        gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number"),
        "context_length",
    ),
    (429, [gemini(429, "RESOURCE_EXHAUSTED")], "rate_limit"),
    (402, {"message": "pay"}, "money"),
    (422, {"detail": [{"msg": "Field required"}]}, "bad_request"),
    (400, {"detail": "Input is too long for requested model."}, "context_length"),
    (408, None, "server"),
    (409, None, "bad_request"),
    (502, "not an object", "server"),
    (503, [], "overload"),
    (418, {"error": []}, "bad_request"),
    (401, {"error": "no"}, "authentication"),
    (404, {"error": 5}, "bad_request"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), CASES)
def test_kinds(status: int, body: Any, kind: Kind) -> None:
    failure = read_failure(status, {}, json.dumps(body).encode(), 0.0)
    assert (failure.kind, failure.status) == (kind, status)
    assert failure.temporary == (kind in ("rate_limit", "overload", "server"))


@pytest.mark.parametrize(
    ("status", "exception", "kind"),
    [
        (429, b"ThrottlingException:http://internal.amazon.com/coral/", "rate_limit"),
        (429, b"ModelNotReadyException", "overload"),
        (424, b"ModelErrorException", "server"),
        (403, b"AccessDeniedException", "authentication"),
        (400, b"ValidationException", "bad_request"),
        (503, b"ServiceUnavailableException", "overload"),
    ],
)
def test_bedrock_names_them_in_a_field(status: int, exception: bytes, kind: Kind) -> None:
    fields = {b"x-amzn-errortype": exception}
    assert read_failure(status, fields, b'{"message": "m"}', 0.0).kind == kind


@pytest.mark.parametrize(
    ("body", "code", "kind", "message"),
    [
        (openai("m", "t", "c"), "c", "t", "m"),
        (openai("m", "t"), "t", "t", "m"),
        (anthropic("rate_limit_error", "m", "ramp_limit_exceeded"), "ramp_limit_exceeded",
         "rate_limit_error", "m"),
        (gemini(429, "RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "m"),
        ({"message": "m"}, "", "", "m"),
        ({"Message": "m"}, "", "", "m"),
        ({"error": "m"}, "", "", "m"),
        (openai("m" * 5000), "", "", "m" * 1024),
    ],
)  # fmt: skip
def test_what_it_says(body: Any, code: str, kind: str, message: str) -> None:
    failure = read_failure(429, {}, json.dumps(body).encode(), 0.0)
    assert (failure.code, failure.type, failure.message) == (code, kind, message)


@pytest.mark.parametrize(
    ("fields", "body", "wait"),
    [
        ({b"retry-after": b"3"}, None, 3.0),
        ({b"retry-after": b"3", b"retry-after-ms": b"2500"}, None, 2.5),
        ({b"retry-after": b"3"}, gemini(429, "RESOURCE_EXHAUSTED", "m", RETRY), 3.0),
        ({}, gemini(429, "RESOURCE_EXHAUSTED", "m", {"x": 1}, RETRY), 46.0),
        ({}, gemini(429, "RESOURCE_EXHAUSTED", "m", {"retryDelay": "3.5s"}), 3.5),
        ({}, gemini(429, "RESOURCE_EXHAUSTED", "Please retry in 46.07s."), 46.07),
        ({}, openai("Rate limit reached. Please try again in 20s. Visit"), 20.0),
        ({}, openai("Please try again in 350ms."), 0.35),
        ({}, openai("Please retry after 12 seconds."), 12.0),
        ({}, openai("Please retry after 6 months"), None),
        ({}, openai("Try again in a while"), None),
        ({}, None, None),
    ],
)
def test_the_wait_it_asks_for(fields: dict[bytes, bytes], body: Any, wait: float | None) -> None:
    assert read_failure(429, fields, json.dumps(body).encode(), 0.0).retry_after == wait


@pytest.mark.parametrize(
    ("body", "slow_down"),
    [
        (openai(code="slow_down"), True),
        (anthropic("rate_limit_error", code="ramp_limit_exceeded"), True),
        (anthropic("rate_limit_error", "exceed your organization's acceleration limit"), True),
        (openai(code="rate_limit_exceeded"), False),
        (openai("acceleration", code="insufficient_quota"), False),
    ],
)
def test_what_grows_too_fast(body: Any, slow_down: bool) -> None:
    assert read_failure(429, {}, json.dumps(body).encode(), 0.0).slow_down == slow_down


def quota(name: str) -> Any:
    return {"@type": QUOTA, "violations": [{"quotaMetric": "m"}, {"quotaId": name}]}


@pytest.mark.parametrize(
    ("body", "hopeless"),
    [
        (quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), True),
        (quota("GenerateRequestsPerMinutePerProjectPerModel"), False),
        ({"violations": ["x", {"quotaId": 1}]}, False),
    ],
)
def test_a_quota_of_a_day(body: Any, hopeless: bool) -> None:
    failure = read_failure(
        429, {}, json.dumps(gemini(429, "RESOURCE_EXHAUSTED", "m", body)).encode(), 0.0
    )
    assert (failure.hopeless, failure.temporary) == (hopeless, not hopeless)


@pytest.mark.parametrize(
    ("message", "hopeless"),
    [
        ("Quota exceeded for metric: free_tier_requests, limit: 0, model: x", True),
        ("Quota exceeded for metric: free_tier_requests, limit: 05, model: x", False),
        ("on requests per day (RPD): Limit 200", True),
        ("on tokens per min (TPM): Limit 200", False),
    ],
)
def test_a_quota_of_nothing_or_of_a_day_by_its_sentence(message: str, hopeless: bool) -> None:
    assert read_failure(429, {}, json.dumps(openai(message)).encode(), 0.0).hopeless == hopeless


@pytest.mark.parametrize(
    ("told", "kind", "status"),
    [
        (openai(kind="server_error"), "server", 500),
        (openai(code=429), "rate_limit", 429),
        (openai(code="502"), "server", 502),
        (openai(code=200), "server", 500),
        (openai(kind="invalid_request_error"), "bad_request", 400),
        (openai(kind="invalid_request_error", code="context_length_exceeded"), "context_length",
         400),
        (openai(kind="insufficient_quota"), "money", 429),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "rate_limit", 429),
        ({"type": "error", "error": {"type": "x"}, "status": 503}, "overload", 503),
        (anthropic("overloaded_error"), "overload", 529),
        (anthropic("rate_limit_error"), "rate_limit", 429),
        (anthropic("billing_error"), "money", 402),
        (anthropic("permission_error"), "authentication", 403),
        (anthropic("not_found_error"), "bad_request", 404),
        (anthropic("api_error"), "server", 500),
        (gemini(503, "UNAVAILABLE"), "overload", 503),
        ({"error": "out of luck"}, "server", 500),
        (None, "server", 500),
    ],
)  # fmt: skip
def test_the_status_that_an_event_deserves(told: Any, kind: Kind, status: int) -> None:
    failure = failure_told(told)
    assert (failure.kind, failure.status) == (kind, status)


def test_a_body_that_is_no_json() -> None:
    assert read_failure(502, {}, b"<html>Bad Gateway</html>", 0.0).kind == "server"


def test_a_long_body_is_not_looked_at() -> None:
    body = json.dumps(openai("m" * MOST, code="insufficient_quota")).encode()
    assert read_failure(429, {}, body, 0.0).kind == "rate_limit"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "type", "status", "details", "message", "innererror",
                 "violations", "retryDelay", "reason", "quotaId", "detail"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)  # fmt: skip


@given(st.integers(400, 599), JSON)
def test_whatever_comes_has_a_kind(status: int, body: Any) -> None:
    failure = read_failure(status, {}, json.dumps(body).encode(), 0.0)
    assert failure.status == status
    assert 400 <= failure_told(body).status < 600
