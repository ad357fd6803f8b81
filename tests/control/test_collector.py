"""Where spans are sent, and when they are sent again."""

from __future__ import annotations

import pytest

from sidecar.config.model import Tracing
from sidecar.control.collector import find_collector, wait_before
from sidecar.upstream.connect.resolver import Lookups


@pytest.mark.parametrize(
    ("failures", "named", "chance", "seconds"),
    [
        (1, None, 0.0, 0.5),
        (1, None, 0.999, 1.0),
        (2, None, 0.0, 1.0),
        (5, None, 0.0, 8.0),
        (6, None, 0.0, 15.0),
        (10_000, None, 0.999, 30.0),
        (1, 7.0, 0.0, 7.0),
        (9, 7.0, 0.999, 10.5),
        (1, 0.0, 0.5, 0.0),
        (1, 86400.0, 0.0, 300.0),
    ],
)
def test_waits(failures: int, named: float | None, chance: float, seconds: float) -> None:
    assert wait_before(failures, named, chance) == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize(
    ("endpoint", "origin", "base"),
    [
        ("http://c:4318", ("c", 4318), b""),
        ("http://c:4318/", ("c", 4318), b""),
        ("http://c:4318/v1/traces", ("c", 4318), b""),
        ("http://c/otlp", ("c", 80), b"/otlp"),
        ("http://c/otlp/v1/traces/", ("c", 80), b"/otlp"),
        ("https://c", ("c", 443), b""),
    ],
)
async def test_where(endpoint: str, origin: tuple[str, int], base: bytes) -> None:
    found = await find_collector(Tracing(endpoint=endpoint), Lookups(1).find)
    assert ((found.origin.host, found.origin.port), found.origin.base) == (origin, base)
    assert found.origin.secure == endpoint.startswith("https")
