"""How long a call waits for others to travel with, and when they are enough."""

from __future__ import annotations

from typing import Final, NamedTuple

_LEARNS: Final = 0.25
"""Weight of the last gap between two calls in their average."""
_FORGETS: Final = 2.0
"""Windows. A longer gap counts as one of so many, so that a burst shows by its fourth call."""
_SILENCE: Final = 4.0
"""Usual gaps without a call after which no more is expected. At random arrivals, one gap in 55
(e^4) is as long by chance."""
_SOONEST: Final = 0.001
"""Seconds, the resolution of the event loop's timers."""
_MOST_SKIPPED: Final = 64
"""Calls that don't wait after others have waited in vain."""
_DOUBTED: Final = 3
"""Joint calls in a row that gained nothing, after which there are none for a while."""
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class BatchSettings(NamedTuple):
    """Bounds of one batch."""

    window: float
    """Seconds that its first call waits at most."""
    auto: bool
    """Whether a call waits only if another is expected."""
    items: int
    tokens: int
    bytes: int


class Load(NamedTuple):
    """What is in a batch, or comes to one."""

    items: int = 0
    tokens: int = 0
    bytes: int = 0

    def plus(self, other: Load) -> Load:
        """Return both together."""
        return Load(self.items + other.items, self.tokens + other.tokens, self.bytes + other.bytes)

    def minus(self, other: Load) -> Load:
        """Return it without *other*, which is in it."""
        return Load(self.items - other.items, self.tokens - other.tokens, self.bytes - other.bytes)

    def fits(self, most: BatchSettings) -> bool:
        """Whether it is within the bounds."""
        return self.items <= most.items and self.tokens <= most.tokens and self.bytes <= most.bytes

    def full(self, most: BatchSettings) -> bool:
        """Whether nothing more fits."""
        return self.items >= most.items or self.tokens >= most.tokens or self.bytes >= most.bytes


class Arrivals:
    """The arrivals of calls that may travel together, in monotonic seconds.

    With `auto`, a call waits only if others are under way (a program that sends one call after
    another has none, and would wait for nobody), and if the usual gap between two calls is shorter
    than the window. Waits in vain make the next ones rarer.
    """

    __slots__ = ("_gap", "_last", "_settings", "_skips", "_vain")

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._last: float | None = None
        self._gap = _FORGETS * settings.window
        self._vain = 0
        """Calls that don't wait after the next wait in vain."""
        self._skips = 0

    def __repr__(self) -> str:
        return f"<Arrivals every {self._gap * 1e3:.2f} ms>"

    def arrive(self, now: float) -> None:
        """A call has come."""
        longest = _FORGETS * self._settings.window
        gap = longest if self._last is None else min(longest, now - self._last)
        self._last = now
        # After a pause, what was usual before it says nothing.
        self._gap = gap if gap == longest else self._gap + _LEARNS * (gap - self._gap)

    def waits(self, under_way: int) -> bool:
        """Whether the call that came last waits for others. *under_way*: calls that were sent."""
        if not self._settings.auto:
            return True
        if not under_way or self._gap >= self._settings.window:
            return False
        if self._skips:
            self._skips -= 1
            return False
        return True

    def waited(self, *, in_vain: bool) -> None:
        """A call that waited has found others, or none."""
        self._vain = min(_MOST_SKIPPED, 2 * self._vain or 1) if in_vain else 0
        self._skips = self._vain

    def due(self, opened: float) -> float:
        """Return when a batch goes that was *opened* then, if no other call comes."""
        window = self._settings.window
        if not self._settings.auto or self._last is None:
            return opened + window
        return min(opened + window, self._last + max(_SOONEST, _SILENCE * self._gap))


class Doubt:
    """Whether joint calls are any good, since some servers take fewer items than callers send.

    A joint call gained nothing if its callers had to be asked for one by one. After three of these
    in a row there is a pause, which doubles up to a minute while the next one gains nothing either.
    """

    __slots__ = ("_failed", "_pause", "_until")

    def __init__(self) -> None:
        self._failed = 0
        self._pause = _PAUSE
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<Doubt until {self._until:.1f}>"

    def allows(self, now: float) -> bool:
        """Whether calls may travel together."""
        return now >= self._until

    def worked(self) -> None:
        """A joint call had an answer for each caller."""
        self._failed = 0
        self._pause = _PAUSE

    def gained_nothing(self, now: float) -> None:
        """The callers of a joint call were asked for one by one."""
        self._failed += 1
        if self._failed >= _DOUBTED:
            self._until = now + self._pause
            self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
