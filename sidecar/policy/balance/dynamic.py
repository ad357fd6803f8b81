"""The endpoint that will probably answer first: by its latency, its failures, and its load."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sidecar.policy.balance.base import FEW, BalanceSettings, Random, Weights, others, two_of
from sidecar.policy.load import Load

_FIRST_GUESS: Final = 0.1
"""Seconds that anybody is thought to take while nobody has answered."""
_LEARN: Final = 0.05
_WORST: Final = 0.95
"""Failures and pressure beyond this make no further difference: some calls must try."""


class Dynamic:
    """Compares the costs of all of a few, of two of many.

        cost = latency x (in flight + 1 + others' calls) x pressure / (weight x success^3)

    The first part is linkerd2's peak EWMA: how long a call behind those in flight would take. What
    others have in flight and in line there, and the pressure, 1 / (1 - 0.95 x use), come from the
    endpoint's own report and fade as it ages; use is the larger of its KV cache's and its GPU's
    share, since a full cache makes a server evict and begin again. A share of failures costs more
    than its own work: a failed call has to be made again (Envoy's client-side weighted round robin
    has an error penalty for the same reason); cubed, half of them failing makes it 8 times as dear.

    An average fades while there are no results, so that an endpoint that was slow once gets a call
    now and then. One that nobody has seen is taken for an average one.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._weights = Weights(settings.slow_start)
        self._slow_start = settings.slow_start > 0
        self._decay = settings.decay
        self._stale = settings.stale
        self._members: Sequence[Load] = ()
        self._usual = _FIRST_GUESS

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members."""
        self._members = members
        known = [member.latency for member in members if member.latency]
        if known:
            self._usual = sum(known) / len(known)

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """The one of least cost."""
        members = others(self._members, avoid) if avoid else self._members
        count = len(members)
        if count > FEW:
            one, two = two_of(members, random)
            best = one if self._cost(one, now) <= self._cost(two, now) else two
        else:
            start = int(random() * count)
            best, least = members[start], self._cost(members[start], now)
            for index in range(start + 1 - count, start):
                member = members[index]
                cost = self._cost(member, now)
                if cost < least:
                    best, least = member, cost
        if best.latency:
            self._usual += _LEARN * (best.latency - self._usual)
        return best

    def _cost(self, member: Load, now: float) -> float:
        latency = self._usual
        if member.latency:
            latency = member.latency * member.faded(now, self._decay)
        burden = member.in_flight + 1.0
        success = 1.0 - min(member.errors, _WORST)
        cost = latency / (member.weight * success * success * success)
        if member.reported is not None:
            fresh = member.freshness(now, self._stale)
            queued, running, kv_used, utilization = member.reported
            burden += fresh * max(0.0, queued + running - member.in_flight)
            use = fresh * min(1.0, max(kv_used, utilization))
            cost /= 1.0 - _WORST * use
        if self._slow_start:
            cost /= self._weights.ramp(member, now)
        return cost * burden
