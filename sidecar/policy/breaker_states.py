"""Our parts at aiobreaker's extension points: states, storage, listener."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from sidecar.policy.aiobreaker_parts import (
    CircuitBreakerBaseState,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitBreakerStorage,
    CircuitClosedState,
    CircuitHalfOpenState,
    CircuitOpenState,
)
from sidecar.policy.window import Window

if TYPE_CHECKING:
    from sidecar.policy.breaker import Breaker
    from sidecar.policy.breaker_settings import BreakerSettings


class Closed(CircuitClosedState):
    """Every attempt passes; results go into the window."""

    _breaker: Breaker

    def acquire(self, now: float) -> Permit | None:
        """Permit every attempt."""
        return self

    def settle(self, now: float, failed: bool, slow: bool) -> None:
        """Count the result, and open when a rate is reached."""
        breaker = self._breaker
        settings, window = breaker.settings, breaker.window
        calls = window.add(now, failed, slow, settings.window_calls, settings.window)
        if (window.failures or window.slow) and _bad(window, calls, settings):
            self._trip(now)

    def fail_late(self, now: float) -> None:
        """Make a success of the window a failure; add one when they have all grown too old."""
        settings, window = self._breaker.settings, self._breaker.window
        calls = window.trim(now, settings.window_calls, settings.window)
        if not window.fail_latest():
            calls = window.add(now, True, False, settings.window_calls, settings.window)
        if _bad(window, calls, settings):
            self._trip(now)

    def cancel(self) -> None:
        """Do nothing: a closed breaker counts no permits."""

    def _trip(self, now: float) -> None:
        if self._breaker.forced is None:
            self._breaker.open(now)


class Open(CircuitOpenState):
    """No attempt passes; the first after the time is over is a trial."""

    _breaker: Breaker

    def acquire(self, now: float) -> Permit | None:
        """Permit the first trial, once the time is over."""
        breaker = self._breaker
        if now < breaker.until:
            return None
        breaker.half_open(now)
        return breaker.acquire(now)


class HalfOpen(CircuitHalfOpenState):
    """A few attempts pass, and decide. `running` has the start of each running one.

    A trial counts as running for `open_max` at most: a server that never answers would otherwise
    keep the breaker here until a timer ends the attempt, long after the endpoint is well again.
    """

    _breaker: Breaker

    def __init__(
        self, breaker: Breaker, prev_state: CircuitBreakerBaseState | None, notify: bool
    ) -> None:
        self.running: deque[float] = deque()
        self.succeeded = 0
        self.slow = 0
        super().__init__(breaker, prev_state, notify)

    def acquire(self, now: float) -> Permit | None:
        """Permit a trial, while fewer than `trials` run or have succeeded."""
        trials = self._breaker.settings.trials
        if (
            self.succeeded >= trials
        ):  # the setting may have been lowered since they began: none may be left
            self._end(now)
            return self._breaker.acquire(now)
        running = self.running
        if self.succeeded + len(running) >= trials:
            if not running or now - running[0] < self._breaker.settings.open_max:
                return None
            running.popleft()
        running.append(now)
        return self

    def settle(self, now: float, failed: bool, slow: bool) -> None:
        """One failure opens again; the last success ends the trials."""
        breaker = self._breaker
        settings = breaker.settings
        if failed:
            breaker.open(now)
            return
        self.succeeded += 1
        self._end_trial()
        self.slow += slow
        if self.succeeded >= settings.trials:
            self._end(now)

    def fail_late(self, now: float) -> None:
        """A trial failed, after its head."""
        self._breaker.open(now)

    def cancel(self) -> None:
        """Permit another trial instead."""
        self._end_trial()

    def _end_trial(self) -> None:
        """Remove one running trial: the newest, because the oldest may hang."""
        if self.running:
            self.running.pop()

    def _end(self, now: float) -> None:
        breaker = self._breaker
        settings = breaker.settings
        if self.slow / self.succeeded >= settings.slow_rate:
            breaker.open(now)
        else:
            breaker.close(now)


Permit: TypeAlias = Closed | HalfOpen
"""The state under which an attempt began. Each is settled or cancelled once."""

STATES: Final = {
    CircuitBreakerState.CLOSED: Closed,
    CircuitBreakerState.OPEN: Open,
    CircuitBreakerState.HALF_OPEN: HalfOpen,
}


class Storage(CircuitBreakerStorage):
    """A breaker's storage for the library: its state, and a window instead of a counter.

    The window is kept on opening, so that it shows what opened the breaker; the library resets
    it on closing.
    """

    state = CircuitBreakerState.CLOSED
    opened_at = 0.0
    changed_at = 0.0

    def __init__(self) -> None:
        super().__init__("window")
        self.window = Window()

    @property
    def counter(self) -> int:
        """Failures in the window."""
        return self.window.failures

    def increment_counter(self) -> None:
        """Refuse the library's own `call`: a result needs its time."""
        raise TypeError("use acquire and settle")

    def reset_counter(self) -> None:
        """Empty the window."""
        self.window.clear()


class Announcer(CircuitBreakerListener):
    """Passes the library's notice of a change to the breaker's `on_change`."""

    def state_change(
        self, breaker: Breaker, old: CircuitBreakerBaseState, new: CircuitBreakerBaseState
    ) -> None:
        """Pass on the names of both states."""
        breaker.announce(old.state.name.lower(), new.state.name.lower())


ANNOUNCER: Final = Announcer()
"""One for all breakers: it holds nothing."""


def _bad(window: Window, calls: int, settings: BreakerSettings) -> bool:
    """Whether enough calls were seen and a rate is reached.

    Divided, not multiplied: 55 of 100 is 55 %, but 100 x 0.55 is a little more than 55.
    """
    if calls < settings.min_calls and calls < settings.window_calls:
        return False
    if window.failures / calls >= settings.failure_rate:
        return True
    return window.slow / calls >= settings.slow_rate
