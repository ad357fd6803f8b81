"""The last results of an endpoint: bounded by count and by age, failures and slow ones counted.

Two arrays of plain values (9 bytes a result) that are appended to, with a head that moves on; the
part before it is cut off when it is the larger one. So an endpoint that has no calls costs two
empty arrays, the memory follows the bound when a setting changes it, and each result costs the same
however many are held.
"""

from __future__ import annotations

from array import array

_FAILED = 1
_SLOW = 2
_CUT_FROM = 32
"""Results. A shorter dead part is not cut off."""


class Window:
    """At most `limit` results, none older than `span` seconds: both come with each call.

    A result that is exactly `span` old is still in. `now` must not go back.
    """

    __slots__ = ("_head", "_times", "_verdicts", "failures", "slow")

    def __init__(self) -> None:
        self._times = array("d")
        self._verdicts = bytearray()
        self._head = 0
        self.failures = 0
        self.slow = 0

    def __len__(self) -> int:
        return len(self._times) - self._head

    def add(self, now: float, failed: bool, slow: bool, limit: int, span: float) -> int:
        """Take a result of *now*, let go of what *limit* and *span* have no room for; how many."""
        times, verdicts = self._times, self._verdicts
        times.append(now)
        if failed or slow:
            self.failures += failed
            self.slow += slow
            verdicts.append(failed | slow << 1)
        else:
            verdicts.append(0)
        head = self._head
        count = len(times) - head
        if count > limit or times[head] < now - span:
            return self.trim(now, limit, span)
        return count

    def trim(self, now: float, limit: int, span: float) -> int:
        """Let go of results that are too many or too old; how many are left."""
        times, verdicts, head = self._times, self._verdicts, self._head
        total, oldest = len(times), now - span
        surplus = total - limit
        while head < surplus or (head < total and times[head] < oldest):
            if verdict := verdicts[head]:
                self.failures -= verdict & _FAILED
                self.slow -= verdict >> 1
            head += 1
        if head > _CUT_FROM and head * 2 > total:
            del times[:head], verdicts[:head]
            total -= head
            head = 0
        self._head = head
        return total - head

    def fail_latest(self) -> bool:
        """Turn the latest success into a failure; False when there is none.

        For a call that was a success when its head came and broke later. Which success is turned
        matters little (only when it grows old): that the call is counted once, and as a failure,
        does.
        """
        verdicts, head = self._verdicts, self._head
        at = max(verdicts.rfind(0, head), verdicts.rfind(_SLOW, head))
        if at < 0:
            return False
        verdicts[at] |= _FAILED
        self.failures += 1
        return True

    def clear(self) -> None:
        """Forget every result."""
        del self._times[:], self._verdicts[:]
        self._head = self.failures = self.slow = 0
