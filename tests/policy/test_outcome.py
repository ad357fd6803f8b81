import math

import pytest

from sidecar.policy.outcome import cooldown, endpoint_failed

NOON = 784_111_777.0


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 409, 413, 422, 429, 499])
def test_what_says_nothing_against_the_endpoint(status: int) -> None:
    assert not endpoint_failed(status)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529, 599])
def test_what_does(status: int) -> None:
    assert endpoint_failed(status)


@pytest.mark.parametrize(
    ("status", "named", "seconds"),
    [
        (429, b"1", 1.0),
        (429, b"59", 59.0),
        (429, b"0", 0.0),
        (429, b"86400", 60.0),  # the longest
        (429, b"9" * 400, 60.0),
        (429, b"soon", 0.5),
        (429, None, 0.5),
        (503, b"3", 3.0),
        (503, b"3000", 60.0),
        (503, None, 0.0),
        (529, b"3", 3.0),
        (500, b"3", 0.0),
        (404, b"3", 0.0),
        (200, b"3", 0.0),
    ],
)
def test_how_long_it_is_avoided(status: int, named: bytes | None, seconds: float) -> None:
    fields = {} if named is None else {b"retry-after": named}
    assert cooldown(status, fields, NOON) == seconds
    assert math.isfinite(seconds)
