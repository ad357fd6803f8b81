"""A limit a minute that many sidecars share: each spends from a lease that a store has given it.

The store has the amounts of the last minute of all sidecars together, by the second of its own
clock, and gives leases of what is left. A lease counts as if it were spent when it ends: what a
sidecar spends and does not tell, as it died, is in the window for long enough. When it tells,
what it spent takes the lease's place. So all together never spend more than the limit, but for what
calls use beyond their reservations.

Where the store does not answer, a sidecar goes by its share: what it used itself in the last
minute, with its lease, and an equal part of what was left. The shares of all are the limit.

A message is sent again until it is answered, with the same number, by which the store knows one
that it has taken already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil, floor
from typing import Final, NamedTuple

from sidecar.policy.minute import Minute, Slot

_WINDOW: Final = 60
LEASE: Final = 4
"""Seconds that a lease lasts: longer than a round with the store that takes its time."""
_FRESH: Final = 1.0
"""Seconds for which an answer is believed that nothing is left."""
_ASKED: Final = 0.25
"""Seconds after such an answer in which it is not asked again."""
_LATER: Final = 5.0
"""Seconds until it may be otherwise, where the store does not say."""
_AHEAD: Final = 2
"""Seconds' worth of what was used last that a lease is to have."""
_HELD: Final = 0.5
"""Seconds for which a lease is kept for the call that asked for it, until that goes on."""
_CAREFUL: Final = 2.0
"""Seconds in which all sidecars tell a store again what it has lost."""


class Link:
    """What the limits of a sidecar know of the store."""

    __slots__ = ("alone", "peers")

    def __init__(self) -> None:
        self.peers = 1
        """Sidecars that share limits, this one too."""
        self.alone = False
        """Whether the store was asked just now and has not answered in time."""


class Batch:
    """What was reserved in one second, and is told in one message."""

    __slots__ = ("amount", "at", "later", "own", "second", "sent")

    def __init__(self, at: int, own: Slot) -> None:
        self.at = at
        """Second of our clock."""
        self.own = own
        self.amount = 0
        self.sent = False
        self.later = 0
        """Corrections that came after it was sent, and before it was answered."""
        self.second: int | None = None
        """Second of the store's clock in which it counts there."""


class Part(NamedTuple):
    """What a message says of one kind."""

    limit: int
    spent: list[int]
    """Pairs: how many seconds ago, and how much."""
    mends: list[int]
    """Pairs: a second of the store's clock, and how much more was spent in it."""
    keep: int
    """What we may go on to spend while the message is under way."""
    need: int
    """What a call wants that waits for it."""
    want: int
    """What the next lease is to have."""


class Answer(NamedTuple):
    """What the store says of one kind."""

    granted: int
    left: int
    """What is left beside it, for all."""
    after: float
    """Seconds until `need` is there, if nothing else comes; 0: it is, or will never be."""


class SharedMinute(Minute):
    """The last minute of all sidecars together, as far as this one knows."""

    __slots__ = (
        "_after",
        "_batches",
        "_careful",
        "_granted",
        "_held",
        "_held_at",
        "_history",
        "_left",
        "_link",
        "_mended",
        "_mends",
        "_need",
        "_own",
        "_room",
        "_sent",
        "_share",
        "_since",
        "_told",
        "_until",
        "_wants",
    )

    def __init__(self, limit: int, link: Link, wants: Callable[[bool], None]) -> None:
        """*wants* is called when there is something to tell or to ask for, with True if it is
        urgent."""
        super().__init__(limit)
        self._own = Minute(limit)
        self._link = link
        self._wants = wants
        self._batches: deque[Batch] = deque()
        """Not sent yet."""
        self._sent: list[Batch] = []
        self._mends: dict[int, int] = {}
        self._mended: dict[int, int] = {}
        """In the message that is under way."""
        self._history: dict[int, int] = {}
        """What the store has been told, by its seconds."""
        self._room = 0
        """What may still be spent of the lease."""
        self._granted = 0
        self._until = float("-inf")
        """End of the lease."""
        self._since = 0
        """Spent since the message was made that is under way."""
        self._need = 0
        self._held = 0
        """What calls have asked for lately."""
        self._held_at = float("-inf")
        self._told = float("-inf")
        """When the last answer was asked for."""
        self._left = 0
        self._after = 0.0
        self._share: float | None = None
        self._careful = float("-inf")

    def __repr__(self) -> str:
        return f"<SharedMinute, {self._room} of {self._granted} of {self.limit}>"

    # -- what Minute does --

    def adjust(self, limit: int) -> None:
        """Use another limit from now on. A lower one ends the lease."""
        if limit < self.limit:
            self._room = min(self._room, 0)
        self.limit = limit
        self._wants(False)

    def used(self, now: float) -> int:
        """Return what was used here in the last minute."""
        return self._own.used(now)

    def fits(self, amount: int, now: float) -> bool:
        """Whether *amount* may be added now."""
        if not amount or self.room(now) >= amount:
            return True
        self._need = max(self._need, min(amount, self.limit))
        self._wants(False)
        if self._none_left(amount, now, _FRESH):
            return False
        if now - self._told <= _FRESH and not self._link.alone:
            return False  # the store is asked, or it was
        return self._own.used(now) + amount <= self.share()

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until *amount* will probably fit; infinity: it never will."""
        if amount > self.limit:
            return float("inf")
        if self.fits(amount, now):
            return 0.0
        if now - self._told <= _FRESH:
            return max(_ASKED, self._told + self._after - now)
        self._own.limit = int(self.share())
        return min(_LATER, self._own.wait(amount, now))

    def add(self, amount: int, now: float) -> Batch:  # type: ignore[override]
        """Add *amount*. Return its place, for `amend`."""
        batch = self._open(now)
        self._spend(batch, amount)
        self._own.add(amount, now)
        if self._room * 2 < self._granted:
            self._wants(True)
        return batch

    def amend(self, slot: Batch, more: int, now: float) -> None:  # type: ignore[override]
        """Correct an amount by *more*. When its minute is over, only what it lacked counts."""
        if not more:
            return
        if slot.at < int(now) - _WINDOW:
            if more > 0:
                self.add(more, now)
            return
        self._own.amend(slot.own, more, now)
        self._room -= more
        self._since += more
        if not slot.sent:
            slot.amount += more
        elif slot.second is None:
            slot.later += more
        else:
            self._mends[slot.second] = self._mends.get(slot.second, 0) + more
        self._wants(False)

    # -- the lease --

    def room(self, now: float) -> int:
        """Return what may be spent of the lease now."""
        return self._room if now < self._until else 0

    def share(self) -> float:
        """Return what may be used here in a minute while the store does not answer."""
        if self._share is None:
            return self.limit / self._link.peers
        return self._share

    def asks(self, amount: int, now: float) -> bool:
        """Whether the store may say that *amount* fits, where that is not known here."""
        if not amount or amount > self.limit or self.room(now) >= amount:
            return False
        return not self._none_left(amount, now, _ASKED)

    def seek(self, amount: int) -> None:
        """Ask for *amount* in the next message, for a call that waits for the answer."""
        self._need = min(self.limit, self._need + amount)
        self._wants(False)

    def quiet(self, now: float) -> bool:
        """Whether there is nothing to tell or to ask for."""
        if self._batches or self._sent or self._mends or self._mended or self._need:
            return False
        return not self._granted or now >= self._until + _WINDOW  # a lease that counts there

    def part(self, now: float, *, last: bool = False) -> Part:
        """Return what the next message says. *last*: nothing will be spent after it."""
        self._forget(now)
        spent: list[int] = []
        for batch in self._batches:
            batch.sent = True
            if batch.amount:
                spent += (max(0, floor(now - batch.at - 1)), batch.amount)
        self._sent, self._batches = list(self._batches), deque()
        self._mended, self._mends = self._mends, {}
        mends = [number for mend in self._mended.items() for number in mend]
        need = 0 if last else self._need
        if now - self._held_at > _HELD:
            self._held = 0
        want = 0 if last else min(self.limit, need + max(self._held, self._recent(now)))
        if need:
            self._held, self._held_at = max(self._held, need), now
        if now < self._careful:  # others may not have told what they used
            want = max(0, min(want, int(self.share() - self._own.used(now))))
            need = min(need, want)
        self._room = max(0, min(self.room(now), want))
        self._need = 0
        self._since = 0
        return Part(self.limit, spent, mends, self._room, need, want)

    def restore(self, now: float) -> None:
        """The store has lost what it was told: tell it again."""
        for old, amount in self._history.items():
            self._mends[old] = self._mends.get(old, 0) + amount
        self._careful = now + _CAREFUL
        self._wants(False)

    def answered(self, answer: Answer, second: int, peers: int, asked: float, now: float) -> None:
        """The store has taken the message of the time *asked*, in its *second*.

        *peers*: how many used this limit in the last minute.
        """
        self._confirm(asked, second)
        self._granted = answer.granted
        self._room = answer.granted - self._since
        self._until = asked + LEASE
        self._told = asked
        self._left = answer.left
        self._after = answer.after
        if now >= self._careful:
            used = self._own.used(now) + max(0, self._room)
            self._share = used + max(0, answer.left) / max(1, peers)

    def _confirm(self, asked: float, second: int) -> None:
        history, oldest = self._history, second - _WINDOW
        for old, more in self._mended.items():
            history[old] = history.get(old, 0) + more
        for batch in self._sent:
            batch.second = second - max(0, floor(asked - batch.at - 1))
            history[batch.second] = history.get(batch.second, 0) + batch.amount
            if batch.later:
                self._mends[batch.second] = self._mends.get(batch.second, 0) + batch.later
        self._sent, self._mended = [], {}
        for old in [old for old in history if old < oldest]:
            del history[old]

    def _none_left(self, amount: int, now: float, fresh: float) -> bool:
        """Whether the store has said lately that there is less than *amount*."""
        return now - self._told <= fresh and amount > self.room(now) + self._left

    def _open(self, now: float) -> Batch:
        if not self._batches or self._batches[-1].at != int(now):
            self._forget(now)
            self._batches.append(Batch(int(now), self._own.add(0, now)))
        return self._batches[-1]

    def _forget(self, now: float) -> None:
        """Forget what was spent more than a minute ago: nobody needs to be told."""
        oldest = int(now) - _WINDOW
        while self._batches and self._batches[0].at < oldest:
            self._batches.popleft()

    def _spend(self, batch: Batch, amount: int) -> None:
        batch.amount += amount
        self._room -= amount
        self._since += amount
        self._wants(False)

    def _recent(self, now: float) -> int:
        """Return what was used in the last seconds."""
        return ceil(self._own.since(int(now) - _AHEAD + 1))
