"""A circuit breaker for one endpoint (M. Nygard, Release It!, "Circuit Breaker").

    closed --- failure rate or slow rate reached ---> open
    open --- its time is over, next acquire ---> half_open
    half_open --- a trial failed, or too many were slow ---> open, for longer
    half_open --- all trials succeeded ---> closed, with an empty window

The states and their changes are aiobreaker's, with our parts at its extension points. We use
`CircuitBreaker` (it holds the state, makes the next one when `state` is set, and tells listeners),
the base classes of the three states, of the storage and of the listener, and the enum of their
names. As shipped it counts consecutive failures, permits any number of trials at once, accepts
results that are older than the state and reads the wall clock. Here a storage holds a sliding
window, the state classes decide at `acquire` and `settle` around an attempt, and time is an
argument. We do not use its own `call`, `opens_at` and `time_until_open`, which read clocks.

- The rates are checked with every result once the window holds `min_calls` (or is full, where
  that is less). A rate equal to the setting counts as reached.
- Half-open permits `trials` attempts, running or succeeded. A cancelled one makes room for another,
  and so does one that has not ended after `open_max`; its result still counts.
- A permit is the state object under which its attempt began. Results of an earlier state are
  stragglers: they describe the endpoint as it was, and are ignored.
- An operator's forced state wins until it is cleared. Forced closed, results are still counted and
  shown; forced open, there are none. Clearing leads to closed with an empty window.
- `settings` may be replaced at any time; the next decision uses the new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final, cast

from sidecar.policy.aiobreaker_parts import (
    CircuitBreaker,
    CircuitBreakerBaseState,
    CircuitBreakerState,
)
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.breaker_states import ANNOUNCER, STATES, Storage
from sidecar.policy.breaker_states import Permit as Permit

CLOSED: Final = "closed"
OPEN: Final = "open"

_MOST_DOUBLINGS = 64
"""Far beyond any `open_max`, and far from a float's maximum."""


class Breaker(CircuitBreaker):
    """*on_change* (breaker, old, new, now) may read the breaker, but not act on it.

    `status` is the state's name, cheap to read. While `now < until` every attempt is refused.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        on_change: Callable[[Breaker, str, str, float], None],
        random: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.status = CLOSED
        self.forced: str | None = None
        self.until = 0.0
        self._openings = 0
        self._on_change = on_change
        self._random = random
        self._storage = Storage()
        self.window = self._storage.window
        super().__init__(state_storage=self._storage, listeners=(ANNOUNCER,))

    @property
    def opened_at(self) -> float:
        """When it last left closed, monotonic; a failed trial does not change that."""
        return self._storage.opened_at

    # -- around an attempt --

    def acquire(self, now: float) -> Permit | None:
        """Return a permit for one attempt, to be settled or cancelled once; None: refused."""
        state: Permit = self._state  # or Open, whose acquire returns another permit or None
        return state if self.status == CLOSED else state.acquire(now)

    def settle(self, permit: Permit, now: float, failed: bool, seconds: float) -> None:
        """Report an attempt's result, and the seconds until it was known."""
        if permit is self._state:
            slow_after = self.settings.slow_after
            permit.settle(now, failed, slow_after is not None and seconds > slow_after)

    def outrun(self, permit: Permit, now: float) -> None:
        """A later attempt at another endpoint was faster, so this one counts as slow."""
        if permit is self._state:
            permit.settle(now, False, True)

    def cancel(self, permit: Permit) -> None:
        """The attempt has no result: its caller left early, for example."""
        permit.cancel()

    def fail_late(self, permit: Permit, now: float) -> None:
        """An attempt that was settled as a success has failed: its reply broke after the head."""
        if permit is self._state:
            permit.fail_late(now)

    # -- an operator --

    def force(self, state: str | None, now: float) -> None:
        """Force it "open" or "closed"; None clears that. Raise ValueError for other states."""
        if state not in (OPEN, CLOSED, None):
            raise ValueError(f"a breaker can be forced open or closed, not {state}")
        cleared = state is None and self.forced is not None
        self.forced = state
        if state == OPEN:
            self._hold_open(now)
        elif cleared or state == CLOSED:
            self._hold_closed(now, cleared)

    def retire(self) -> None:
        """Ignore all results from now on. The library's states refer to it, as it
        does to them; apart, they are freed at once."""
        self._state = cast("Any", None)
        self._on_change = _ignore

    def snapshot(self, now: float) -> dict[str, object]:
        """For the admin API. `until`: seconds to the first trial; None: no time is set."""
        settings, window = self.settings, self.window
        window.trim(now, settings.window_calls, settings.window)
        calls = len(window)
        waits = self.status == OPEN and self.until != inf
        return {
            "state": self.status,
            "forced": self.forced,
            "calls": calls,
            "failure_rate": window.failures / calls if calls else 0.0,
            "slow_rate": window.slow / calls if calls else 0.0,
            "until": max(0.0, self.until - now) if waits else None,
        }

    def _hold_open(self, now: float) -> None:
        if self.status == OPEN:
            self.until = inf
        else:
            self.open(now)

    def _hold_closed(self, now: float, cleared: bool) -> None:
        if self.status != CLOSED:
            self.close(now)
        elif cleared:
            self.window.clear()

    # -- aiobreaker's extension points --

    def open(self, now: float) -> None:
        """Refuse for a time, longer with each opening since it was last closed."""
        if self.status == CLOSED:
            self._storage.opened_at = now
        self.until = inf if self.forced == OPEN else now + self._length()
        self._openings = min(self._openings + 1, _MOST_DOUBLINGS)
        self._change(CircuitBreakerState.OPEN, now)

    def half_open(self, now: float) -> None:
        """Permit trials."""
        self._change(CircuitBreakerState.HALF_OPEN, now)

    def close(self, now: float) -> None:
        """Permit every attempt, with an empty window."""
        self.until = 0.0
        self._openings = 0
        self._change(CircuitBreakerState.CLOSED, now)

    def announce(self, old: str, new: str) -> None:
        """Tell `on_change`."""
        self._on_change(self, old, new, self._storage.changed_at)

    def _change(self, state: CircuitBreakerState, now: float) -> None:
        """Have the library make the state and call the listeners."""
        self._storage.changed_at = now
        self.status = state.name.lower()
        self.state = self._storage.state = state

    def _create_new_state(
        self,
        new_state: CircuitBreakerState,
        prev_state: CircuitBreakerBaseState | None = None,
        notify: bool = False,
    ) -> CircuitBreakerBaseState:
        return STATES[new_state](self, prev_state, notify)

    def _length(self) -> float:
        """Seconds open: the base doubled with each opening, capped, then spread by the jitter."""
        settings = self.settings
        seconds = min(settings.open_max, settings.open * 2.0**self._openings)
        return seconds * (1 + settings.jitter * (2 * self._random() - 1))


def _ignore(breaker: Breaker, old: str, new: str, now: float) -> None:
    """Ignore a change."""
