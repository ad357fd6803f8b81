"""How the time of a function grows with its input, so measured that a busy machine can't blur it.

Time is that of this thread's own CPU use, the least of several runs: others may make a run longer,
never shorter. A verdict needs many times more than linear growth over a factor of eight, on an
input that takes long enough to be measured, three times in a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FACTOR: Final = 8
"""How much larger the large input is. Linear work takes 8 times as long, quadratic 64 times."""
_MOST: Final = 28.0
"""Times as long as it may take: between the two, on a scale of factors, and nearer to quadratic."""
_PLAINLY: Final = 12.0
"""Times as long as what is plainly linear takes: no second look. Noise does not make 64 look so."""
_SHORTEST: Final = 0.002
"""Seconds. What takes less for the large input is left alone: no stranger gains by it."""
_LONGEST: Final = 0.2
"""Seconds. Where the small input takes more, the large one is not tried: it might take for ever."""
_TIMES: Final = 3
"""Runs, of which the shortest counts."""
_CONFIRMED: Final = 3
"""Verdicts in a row before one counts."""

Work = Callable[[], object]


def seconds(work: Work, times: int = _TIMES) -> float:
    """CPU seconds that *work* takes, without what others make it wait."""
    least = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
    return least


def grows_too_fast(small: Work, large: Work) -> str | None:
    """Why *large*, which has `FACTOR` times the input of *small*, is more than linear work."""
    found = None
    for _ in range(_CONFIRMED):
        found = _looks_so(small, large)
        if found is None:
            return None
    return found


def _looks_so(small: Work, large: Work) -> str | None:
    short = seconds(small, 1)
    if short > _LONGEST:
        return f"{short:.2f} s for the smaller input"
    long = seconds(large, 1)
    if long < _SHORTEST or long <= _PLAINLY * short:
        return None
    long = min(long, seconds(large, _TIMES - 1))
    short = min(short, seconds(small, _TIMES * 2))
    if long < _SHORTEST or long <= _MOST * short:
        return None
    return f"{short * 1e3:.2f} ms, and {long * 1e3:.2f} ms for {FACTOR} times as much"
