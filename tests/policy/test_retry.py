import math
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.retry import (
    CONDITIONS,
    RetrySettings,
    backoff,
    condition_of,
    parse_on,
    retry_after,
    seconds_of,
    wait_before,
)

USUAL = RetrySettings(
    2,
    frozenset({"connect_failure", "reset", "timeout"}),
    frozenset({408, 429, 503}),
    0.025,
    0.25,
    2.0,
    frozenset({b"POST"}),
)
NOON = 784_111_777.0
"""1994-11-06 08:49:37 UTC, the example of RFC 9110."""


def never() -> float:
    return 0.0


def test_words_for_what_is_retried() -> None:
    conditions, statuses = parse_on(["reset", "408", "429", "5xx", "reset"])
    assert conditions == {"reset"}
    assert statuses == {408, 429, *range(500, 600)}
    assert parse_on([]) == (frozenset(), frozenset())
    assert parse_on(CONDITIONS)[0] == {"connect_failure", "reset", "timeout", "bad_reply"}


@pytest.mark.parametrize("word", ["", "200", "3xx", "5XX", "600", "4291", "5xx ", "٤٢٩", "resets"])
def test_words_that_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="expected a status like 429 or 5xx, or one of connect_f"):
        parse_on(["reset", word])


@pytest.mark.parametrize(
    ("code", "condition"),
    [
        ("connect_failed", "connect_failure"),
        ("resolve_failed", "connect_failure"),
        ("tls_failed", "connect_failure"),
        ("connect_timeout", "connect_failure"),
        ("pool_overflow", "connect_failure"),
        ("upstream_reset", "reset"),
        ("stale_connection", "reset"),
        ("first_byte_timeout", "timeout"),
        ("idle_timeout", "timeout"),
        ("bad_reply", "bad_reply"),
        ("upstream_truncated", "bad_reply"),
        ("total_timeout", None),
        ("caller_left", None),
        ("internal", None),
    ],
)
def test_what_an_error_is_called(code: str, condition: str | None) -> None:
    assert condition_of(code) == condition


def test_backoff_doubles_up_to_its_cap() -> None:
    bounds = [backoff(USUAL, retry, lambda: 0.5) * 2 for retry in range(6)]
    assert bounds == [0.025, 0.05, 0.1, 0.2, 0.25, 0.25]


@given(st.integers(0, 10), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_below_its_bound(retry: int, drawn: float) -> None:
    assert 0 <= backoff(USUAL, retry, lambda: drawn) < min(0.25, 0.025 * 2**retry)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"3"}, 3),
        ({b"retry-after": b"0"}, 0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"250"}, 0.25),
        ({b"retry-after-ms": b"250", b"retry-after": b"9"}, 0.25),
        ({b"retry-after-ms": b"soon", b"retry-after": b"9"}, 9),
        ({b"retry-after-ms": b"-1", b"retry-after": b"-1"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({b"retry-after": b"1e3"}, None),
        ({b"retry-after": b"1_0"}, None),
        ({b"retry-after": b"3, 3"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after": b"\xff"}, None),
        ({b"retry-after": b"9" * 400}, math.inf),
        ({b"retry-after": b"Sun, 06 Nov 1994 08:49:40 GMT"}, 3),
        ({b"retry-after": b"Sunday, 06-Nov-94 08:49:40 GMT"}, 3),
        ({b"retry-after": b"Sun Nov  6 08:49:40 1994"}, 3),
        ({b"retry-after": b"Sun, 06 Nov 1994 08:49:30 GMT"}, None),
        ({b"retry-after": b"Sun, 06 Nov 99999 08:49:40 GMT"}, None),
        ({b"retry-after": b"Sun, 99 Nov 1994 08:49:40 GMT"}, None),
    ],
)
def test_how_long_a_server_says(fields: dict[bytes, bytes], seconds: float | None) -> None:
    assert retry_after(fields, NOON) == seconds


@given(st.integers(0, 200_000_000_000))
def test_every_date(unix: int) -> None:
    written = format_datetime(datetime.fromtimestamp(unix, UTC), usegmt=True).encode()
    assert retry_after({b"retry-after": written}, unix - 5.0) == 5


WORDS = st.lists(
    st.sampled_from(b'Sun , Nov 06 1994 08:49:37 GMT - + : ( ) " \\ 99999999999999'.split(b" "))
)


@given(st.one_of(st.binary(), WORDS.map(b" ".join), WORDS.map(b"".join)))
def test_any_bytes_are_a_time_or_say_nothing(value: bytes) -> None:
    seconds = retry_after({b"retry-after": value, b"retry-after-ms": value}, NOON)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("named", [b"0", b"1", b"2"])
@pytest.mark.parametrize("limited", [True, False])
def test_a_server_is_never_asked_early_nor_by_all_at_once(named: bytes, limited: bool) -> None:
    random, seconds = Random(1).random, int(named)
    waits = [
        wait_before(USUAL, 0, retry_after({b"retry-after": named}, NOON), limited, random)
        for _ in range(50)
    ]
    assert all(wait is not None and 0 <= wait - seconds < 0.5 * seconds + 0.025 for wait in waits)
    assert len(set(waits)) == 50
    assert not seconds or max(wait or 0 for wait in waits) > 1.4 * seconds


def test_a_longer_wait_is_for_the_caller() -> None:
    assert wait_before(USUAL, 0, retry_after({b"retry-after": b"2"}, NOON), True, never) == 2
    assert wait_before(USUAL, 0, retry_after({b"retry-after": b"2.1"}, NOON), True, never) is None
    assert (
        wait_before(USUAL, 0, retry_after({b"retry-after": b"9" * 400}, NOON), True, never) is None
    )


@pytest.mark.parametrize("fields", [None, {}, {b"retry-after": b"-3"}])
def test_without_a_word_of_the_server_it_is_backoff(fields: dict[bytes, bytes] | None) -> None:
    assert wait_before(USUAL, 1, retry_after(fields or {}, NOON), False, lambda: 0.5) == 0.025


def test_a_limit_that_names_no_time_takes_longer_to_clear() -> None:
    waits = [wait_before(USUAL, retry, None, True, never) for retry in range(4)]
    assert waits == [0.5, 1.0, 2.0, None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"600", 600.0), (b"1.5", 1.5), (b"0", 0.0), (b"", None), (b"None", None), (b"-1", None)],
)
def test_seconds_as_text(text: bytes, seconds: float | None) -> None:
    assert seconds_of(text) == seconds
