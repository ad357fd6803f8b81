"""aiobreaker, without redis-py.

Where redis-py is installed, for the store, aiobreaker imports all of it for a storage of its own
that we don't use: 7 MiB in every sidecar. It does without where the import fails.
"""

from __future__ import annotations

import sys
from typing import Final

_LATER: Final = "redis" not in sys.modules
if _LATER:
    sys.modules["redis"] = None  # type: ignore[assignment]
try:
    from aiobreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState
    from aiobreaker.state import (
        CircuitBreakerBaseState,
        CircuitClosedState,
        CircuitHalfOpenState,
        CircuitOpenState,
    )
    from aiobreaker.storage.base import CircuitBreakerStorage
finally:
    if _LATER:
        del sys.modules["redis"]

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerBaseState",
    "CircuitBreakerListener",
    "CircuitBreakerState",
    "CircuitBreakerStorage",
    "CircuitClosedState",
    "CircuitHalfOpenState",
    "CircuitOpenState",
]
