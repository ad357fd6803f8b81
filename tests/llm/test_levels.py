from __future__ import annotations

import pytest

from sidecar.llm.levels import Level, levels

NOW = 1_800_000_000.0


def openai(
    limit: str, remaining: str, reset: str | None, of: str = "requests"
) -> dict[bytes, bytes]:
    fields = {"limit": limit, "remaining": remaining, "reset": reset}
    return {
        f"x-ratelimit-{name}-{of}".encode(): value.encode()
        for name, value in fields.items()
        if value is not None
    }


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (openai("600", "590", "1s"), [Level("requests", 600, 590)]),
        (openai("600", "590", "6m0s", "tokens"), [Level("tokens", 600, 590)]),
        (openai("600", "590", "12ms"), [Level("requests", 600, 590)]),
        (openai("600", "590", None), [Level("requests", 600, 590)]),
        (openai("600", "590", "nonsense"), [Level("requests", 600, 590)]),
        (openai("600", "900", "1s"), [Level("requests", 600, 600)]),
        (openai("600", " 0.5 ", "1"), [Level("requests", 600, 0.5)]),
        (openai("14400", "14000", "40m0s"), []),  # of a day
        (openai("600", "590", "1800003600"), []),
        (openai("600", "590", "33.1", "tokens-minute"), [Level("tokens", 600, 590)]),  # Cerebras
        (openai("14400", "14399", "33011.3", "requests-day"), []),
        (openai("-1", "-1", "0"), []),  # Azure's Responses API
        (openai("0", "0", "0"), []),
        (openai("600", "many", "1s"), []),
        (openai("600", "1e3", "1s"), []),
        (openai("600", "9" * 16, "1s"), []),
        ({b"x-ratelimit-limit-requests": b"600"}, []),
        ({}, []),
    ],
)
def test_openais_fields(fields: dict[bytes, bytes], found: list[Level]) -> None:
    assert [each._replace(reset=None) for each in levels(fields, NOW)] == found


def test_anthropics_fields() -> None:
    fields = {}
    for of in ("requests", "tokens", "input-tokens", "output-tokens"):
        fields[f"anthropic-ratelimit-{of}-limit".encode()] = b"1000"
        fields[f"anthropic-ratelimit-{of}-remaining".encode()] = b"900"
        fields[f"anthropic-ratelimit-{of}-reset".encode()] = b"2027-01-15T08:00:30Z"
    kinds = ("requests", "tokens", "input", "output")
    assert levels(fields, NOW) == [Level(kind, 1000, 900, 30.0) for kind in kinds]  # type: ignore[arg-type]
    later = {name: value.replace(b"15T08:00", b"15T09:00") for name, value in fields.items()}
    assert levels(later, NOW) == []


@pytest.mark.parametrize(("reset", "seconds"), [("12ms", 0.012), ("45", 45.0), (None, None)])
def test_the_time_until_a_bucket_is_full(reset: str | None, seconds: float | None) -> None:
    (level,) = levels(openai("600", "590", reset), NOW)
    assert level.reset == seconds
