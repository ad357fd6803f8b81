"""A service that fails every call: what retries add to its load.

Many clients retry a fixed number of times after a fixed wait, each for itself: a service that is
down gets its load many times over, just when it tries to come back. A budget bounds that.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bench.resilience.client import Send

TRIES: Final = 11
WAIT: Final = 0.1
# The budget in sidecar.yaml: retries as a share of the calls, and so many a second in any case.
RATIO: Final = 0.2
MIN_PER_SECOND: Final = 5
WINDOW: Final = 10.0  # seconds; its share of MIN_PER_SECOND may be spent at once


def stubborn(send: Send) -> Send:
    """Ten retries, 100 ms apart, whatever the others do."""

    async def retrying(number: int) -> str:
        failure = await send(number)
        for _ in range(TRIES - 1):
            if not failure:
                break
            await asyncio.sleep(WAIT)
            failure = await send(number)
        return failure

    return retrying


def allowed(calls: int, seconds: float) -> float:
    """Requests that the budget lets through for each of *calls* in *seconds*."""
    return 1 + RATIO + MIN_PER_SECOND * max(seconds, WINDOW) / calls
