"""What the store does with leases: the same as the script of `SharedLimits`, in Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

from sidecar.policy.leases import LEASE, Answer
from sidecar.policy.shared_meter import Message


@dataclass
class Member:
    number: int
    until: int
    grants: dict[int, int]
    reply: tuple[int, bool, int, dict[int, Answer]]


@dataclass
class Leases:
    """One key of the store."""

    windows: dict[int, dict[int, int]] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    count: int = 0
    counted: int = 0

    def take(
        self, member: str, message: Message, now: int
    ) -> tuple[int, bool, int, dict[int, Answer]]:
        """Return the second, whether the member was known, how many there are, and the answers."""
        me = self.members.get(member)
        if me is not None and me.number == message.number:
            return me.reply
        self.count += me is None
        if now - self.counted >= 10:
            self._count(member, now)
        count = self.count
        answers, grants = {}, {}
        for kind, part in message.parts.items():
            window = self.windows.setdefault(kind, {})
            if me is not None and kind in me.grants and me.until in window:
                window[me.until] -= me.grants[kind]
            for second, more in _pairs(part.mends):
                if second >= now - 60:
                    window[second] = window.get(second, 0) + more
            for ago, amount in _pairs(part.spent):
                window[now - ago] = window.get(now - ago, 0) + amount
            for second in [s for s, amount in window.items() if s < now - 60 or not amount]:
                del window[second]
            free = part.limit - sum(window.values())
            leased = sum(amount for second, amount in window.items() if second > now)
            most = max(part.keep, part.need, floor(free / count))
            grants[kind] = granted = max(0, min(part.want, free, most))
            if granted:
                window[now + LEASE] = window.get(now + LEASE, 0) + granted
            after = _after(part.need - free, leased, window, now)
            answers[kind] = Answer(granted, max(0, free - granted), after)
        reply = now, me is not None, count, answers
        self.members[member] = Member(message.number, now + LEASE, grants, reply)
        return reply

    def _count(self, member: str, now: int) -> None:
        """Count the members, and forget those that are gone."""
        old = [name for name, each in self.members.items() if each.until < now - 61]
        for name in set(old) - {member}:
            del self.members[name]
        self.count, self.counted = len(self.members.keys() - {member}) + 1, now


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _after(lack: int, leased: int, window: dict[int, int], now: int) -> float:
    if lack <= 0:
        return 0.0
    if lack <= leased:
        return 1.0
    lack -= leased
    for second in sorted(second for second in window if second <= now):
        lack -= window[second]
        if lack <= 0:
            return second + 61.0 - now
    return 0.0
