"""Classify the failures that replies and stream events report.

One reader serves all APIs, since gateways mix them: Google's API for OpenAI's SDKs answers in
Google's form. No word has different meanings in two APIs. Sources: the
errors of openai-python 3.57 (`ResponseError`, `SessionTurnError`), anthropic-sdk-python 2.14
(`types/shared/*_error.py`), python-genai 3.6 (`errors.py`), botocore's model of Bedrock; OpenAI's,
Anthropic's, Azure's and Google's pages on errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from sidecar.llm.told import Told, told
from sidecar.llm.waits import reset_after, retry_after

Kind = Literal[
    "rate_limit", "overload", "money", "content_filter", "context_length", "bad_request",
    "authentication", "server",
]  # fmt: skip

MOST: Final = 64 * 1024
"""Bytes of an error's body that are read. A longer one is classified by its status."""


class Failure(msgspec.Struct, frozen=True):
    """The failure of a call, as its API reported it."""

    kind: Kind
    status: int
    """The reply's status, or the one that matches an event within a stream."""
    type: str = ""
    code: str = ""
    """The most specific code. Anthropic's is `details.error_code`."""
    message: str = ""
    retry_after: float | None = None
    """Seconds until the next call, if the provider named a time."""
    reset_after: float | None = None
    """Seconds until the exhausted limits are full again: an upper bound of the wait."""
    slow_down: bool = False
    """Whether the rate grew too fast, rather than being too high."""
    hopeless: bool = False
    """Whether it is a daily limit, or a limit of 0, which no short wait clears."""

    @property
    def temporary(self) -> bool:
        """Whether the same call may soon succeed at the same provider."""
        return not self.hopeless and self.kind in ("rate_limit", "overload", "server")


_WORDS: Final[dict[Kind, tuple[str, ...]]] = {
    # Money comes first: OpenAI also says `rate_limit_exceeded` for some of these.
    "money": (
        "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded", "organization_usage_limit_exceeded",
        "usage_limit_exceeded", "billing_not_active", "billing_hard_limit_reached",
        "billing_error", "enforced_spend_limit_reached", "contract_spend_limit_reached",
        "linked_organization_billing_unavailable", "linked_organization_spend_limit_reached",
    ),
    "content_filter": (
        "content_filter", "content_policy_violation", "image_content_policy_violation",
        "moderation_blocked", "ResponsibleAIPolicyViolation", "invalid_prompt", "bio_policy",
        "cyber_policy", "misalignment_policy_violation",
    ),
    "context_length": (
        "context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded",
    ),
    "overload": (
        "overloaded_error", "server_is_overloaded", "server_overloaded", "flex_unavailable",
        "service_unavailable_error", "UNAVAILABLE", "ServiceUnavailableException",
        "ModelNotReadyException",
    ),
    "rate_limit": (
        "rate_limit_exceeded", "rate_limit_error", "slow_down", "ramp_limit_exceeded",
        "RESOURCE_EXHAUSTED", "RateLimitReached", "ThrottlingException",
    ),
    "authentication": (
        "authentication_error", "permission_error", "invalid_api_key", "UNAUTHENTICATED",
        "PERMISSION_DENIED", "API_KEY_INVALID", "AccessDeniedException", "organization_on_hold",
    ),
    "server": (
        "server_error", "api_error", "internal_error", "INTERNAL", "DEADLINE_EXCEEDED",
        "timeout_error", "ModelStreamErrorException", "ModelErrorException",
        "ModelTimeoutException", "InternalServerException",
    ),
}  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {
    word.lower(): kind for kind, words in _WORDS.items() for word in words
}
_STATUSES: Final = {
    "billing_error": 402,
    "overloaded_error": 529,
    "timeout_error": 504,
    "DEADLINE_EXCEEDED": 504,
    "permission_error": 403,
    "PERMISSION_DENIED": 403,
    "AccessDeniedException": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "ModelNotReadyException": 429,
}
_STATUS_OF_KIND: Final[dict[Kind, int]] = {
    "money": 429,
    "rate_limit": 429,
    "overload": 503,
    "content_filter": 400,
    "context_length": 400,
    "bad_request": 400,
    "authentication": 401,
    "server": 500,
}
"""The status of events that name none, so that SDKs raise the right class."""
_STATUS_OF_WORD: Final = {word.lower(): status for word, status in _STATUSES.items()}
_BAD: Final = (
    "invalid_request_error",
    "invalid_argument",
    "validationexception",
    "badrequesterror",
)
_SLOW: Final = ("slow_down", "ramp_limit_exceeded")
_PATTERNS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("money", re.compile(r"credit balance is too low|usage limits? .{0,40}regain access")),
    (
        "context_length",
        re.compile(
            r"prompt is too long|maximum context length|input token count|input is too long"
            r"|exceeds? the (?:available )?context|context window"
        ),
    ),
)
"""For refusals of Anthropic, Google, vLLM and Bedrock that have no code of their own."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_failure(
    status: int, fields: Mapping[bytes, bytes], body: bytes, unix_now: float
) -> Failure:
    """Classify a reply whose *status* is 400 or above.

    *fields* are the reply's, by lower-case names. *body* is without a content coding. *unix_now* is
    the wall clock's time, since a wait may be a date.
    """
    said = told(_decoded(body)) or Told()
    exception = fields.get(b"x-amzn-errortype")
    if exception:
        said.words.insert(0, exception.partition(b":")[0].decode("latin-1"))
    wait = retry_after(fields, unix_now)
    return _failure(said, status, wait, reset_after(fields, unix_now))


def failure_told(found: object) -> Failure:
    """Classify the error object of a stream event; *found* is that object or its container."""
    said = told(found) or Told()
    status = said.number
    if status is None:
        status = next((_STATUS_OF_WORD[w] for w in _lower(said) if w in _STATUS_OF_WORD), None)
    if status is None:
        bad = any(word in _BAD for word in _lower(said))
        status = _STATUS_OF_KIND[_kind_by_word(said) or ("bad_request" if bad else "server")]
    return _failure(said, status, None, None)


def _failure(said: Told, status: int, wait: float | None, reset: float | None) -> Failure:
    kind = _kind(said, status)
    slow = kind == "rate_limit" and (
        any(word in _SLOW for word in _lower(said)) or "acceleration" in said.message.lower()
    )
    return Failure(
        kind=kind,
        status=status,
        type=said.type,
        code=said.code,
        message=said.message,
        retry_after=wait if wait is not None else said.delay,
        reset_after=reset,
        slow_down=slow,
        hopeless=kind == "rate_limit" and said.daily,
    )


def _kind(said: Told, status: int) -> Kind:
    kind = _kind_by_word(said)
    if kind is not None:
        return kind
    message = said.message.lower()
    if status in (400, 413, 422):
        for by_message, pattern in _PATTERNS:
            if pattern.search(message):
                return by_message
    if status == 429:
        return "overload" if "high demand" in message else "rate_limit"
    return _kind_by_status(status)


def _kind_by_word(said: Told) -> Kind | None:
    kinds = [_KINDS[word] for word in _lower(said) if word in _KINDS]
    return "money" if "money" in kinds else next(iter(kinds), None)


def _kind_by_status(status: int) -> Kind:
    if status == 402:
        return "money"
    if status in (401, 403):
        return "authentication"
    if status in (498, 503, 529):  # 498: Groq has no capacity for the flex tier
        return "overload"
    return "server" if status >= 500 or status == 408 else "bad_request"


def _lower(said: Told) -> Iterator[str]:
    return (word.lower() for word in said.words)


def _decoded(body: bytes) -> object:
    if len(body) > MOST:
        return None
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE:
        return None
