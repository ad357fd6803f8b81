"""When a provider wants to be asked again, as providers write it."""

from __future__ import annotations

import pytest

from sidecar.llm.waits import duration, reset_after, retry_after, until

NOW = 1_769_542_280.0  # 2026-01-27T19:31:20Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("1.5", 1.5),
        (" 20 ", 20.0),
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("8.64s", 8.64),
        ("1d", 86400.0),
        ("46s", 46.0),
        ("500us", 0.0005),
        ("1769542290", 10.0),
        ("1769542290.5", 10.5),
        ("1769542290500", 10.5),
        ("2026-01-27T19:31:29Z", 9.0),
        ("2026-01-27T20:31:29+01:00", 9.0),
        ("2026-01-27T19:31:29.5Z", 9.5),
        ("2026-01-27T19:31:29", 9.0),
        ("2026-01-27T19:31:19Z", None),  # it is past
        ("1769542270", None),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("1x", None),
        ("m", None),
        ("1m" * 40, None),
        ("9" * 30, None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_until(text: str, seconds: float | None) -> None:
    expected = None if seconds is None else pytest.approx(seconds, abs=1e-6)
    assert until(text, NOW) == expected


def test_a_duration_is_nothing_else() -> None:
    assert duration("6m0s") == 360.0
    assert duration("6") is None
    assert duration("") is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "soon"}, 2.0),
        ({"retry-after": "Tue, 27 Jan 2026 19:31:30 GMT"}, 10.0),
        ({"retry-after": "2026-01-27T19:31:30Z"}, 10.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(fields: dict[str, str], seconds: float | None) -> None:
    raw = {name.encode(): value.encode() for name, value in fields.items()}
    assert retry_after(raw, NOW) == seconds


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "8.5s",
            },
            8.5,
        ),
        ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}, None),  # Azure
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-01-27T19:31:29Z",
            },
            9.0,
        ),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_reset_after(fields: dict[str, str], seconds: float | None) -> None:
    raw = {name.encode(): value.encode() for name, value in fields.items()}
    assert reset_after(raw, NOW) == seconds
