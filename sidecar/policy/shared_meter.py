"""The limits of one route, model or client that sidecars share, and the messages about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple
from weakref import ref

from sidecar.policy.leases import LEASE, Answer, Link, Part, SharedMinute
from sidecar.policy.meter import Bounds, Meter

_KNOWN: Final = LEASE + 60.0
"""Seconds for which the store knows us after an answer."""


class Message(NamedTuple):
    """What is told and asked for. It is the same until it is answered."""

    number: int
    parts: Mapping[int, Part]
    """By the index of the kind."""
    asked: float
    """When it was made, by our clock."""


class SharedMeter(Meter):
    """What all sidecars used in the last minute of each kind that is limited."""

    __slots__ = ("__weakref__", "_known", "_link", "_message", "_number", "member", "wants")

    def __init__(
        self, bounds: Bounds, link: Link, member: str, wants: Callable[[SharedMeter, bool], None]
    ) -> None:
        """*member*: a name that no other has. *wants*: as of SharedMinute."""
        self._link = link
        self.wants = partial(_wants, ref(self), wants)
        self.member = member
        self._number = 0
        self._message: Message | None = None
        self._known = float("-inf")
        """Until when the store should know us."""
        super().__init__(bounds)

    def minute(self, bound: int) -> SharedMinute:
        """Make what counts one kind."""
        return SharedMinute(bound, self._link, self.wants)

    def message(self, now: float, *, last: bool = False) -> Message | None:
        """Return what is to be told and asked for; None: nothing is."""
        if self._message is None:
            parts = {
                index: minute.part(now, last=last)
                for index, minute in self._shared()
                if not minute.quiet(now)
            }
            if not parts:
                return None
            self._number += 1
            self._message = Message(self._number, parts, now)
        return self._message

    def answered(
        self, answers: Mapping[int, Answer], second: int, peers: int, now: float, *, known: bool
    ) -> None:
        """The store has answered, in *second* of its clock. *known*: it knew us."""
        message, self._message = self._message, None
        assert message is not None
        if not known and now < self._known:
            self.restore(now)
        self._known = now + _KNOWN
        for index, minute in self._shared():
            if index in message.parts and index in answers:
                minute.answered(answers[index], second, peers, message.asked, now)

    def restore(self, now: float) -> None:
        """The store has lost what it was told: tell it again."""
        self._known = float("-inf")
        for _, minute in self._shared():
            minute.restore(now)

    def _shared(self) -> list[tuple[int, SharedMinute]]:
        return [
            (index, minute)
            for index, minute in enumerate(self.minutes)
            if isinstance(minute, SharedMinute)
        ]


def _wants(
    meter: ref[SharedMeter], wants: Callable[[SharedMeter, bool], None], urgent: bool
) -> None:
    """Tell that *meter* wants something. Its parts don't hold it: it is freed when it is over."""
    found = meter()
    if found is not None:
        wants(found, urgent)
