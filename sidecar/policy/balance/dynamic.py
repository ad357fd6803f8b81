"""The endpoint that will probably answer first: by its latency, its failures, and its load."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp, inf
from typing import Final

from sidecar.policy.balance.base import BalanceSettings, Candidates, Random
from sidecar.policy.load import Load

_FIRST_GUESS: Final = 0.1
"""Assumed latency before the first sample, in seconds."""
_LEARN: Final = 0.05
_SILENCE: Final = 4.0
"""Silence beyond so many times the usual latency makes no further difference: one call may just
take long."""
_WORST: Final = 0.95
"""Failures beyond this make no further difference: some calls must try."""


class Dynamic:
    """Compares the costs of all of a few, of two of many.

        cost = latency x (in flight + 1) x shade / (weight x success^3)

    The first part is linkerd2's peak EWMA: how long a call behind those in flight would take. A
    share of failures costs more than its own work: a failed call has to be made again (Envoy's
    client-side weighted round robin has an error penalty for the same reason); cubed, half of them
    failing makes it 8 times as expensive.

    An endpoint that owes answers is at least as slow as it has been silent for, whatever it was
    before. Otherwise one that was fast and now hangs would attract all calls for a while.

    An endpoint's report only adjusts our measurements: by a factor from 1 to 2, less as the report
    ages. It depends on the share of its calls that are others', and on how far others fill it.
    Without a bound, an endpoint that reports badly would get no calls, and the others would be
    overloaded; if it is as full as it reports, its latency will soon show that.

    Latency and errors fade while there are no results, so that an endpoint that was bad once gets a
    call now and then. One without samples counts as an average one.
    """

    def __init__(self, settings: BalanceSettings) -> None:
        self._candidates = Candidates(settings.slow_start)
        self._decay = settings.decay
        self._stale = settings.stale
        self._usual = _FIRST_GUESS

    def update(self, members: Sequence[Load], now: float) -> None:
        """Take the members."""
        self._candidates.update(members, now)
        known = [member.latency for member in members if member.latency]
        if known:
            self._usual = sum(known) / len(known)

    def pick(self, key: int, now: float, random: Random, avoid: Collection[Load] = ()) -> Load:
        """Pick the one of least cost; among equals any."""
        found = self._candidates.draw(now, random, avoid)
        start = int(random() * len(found))
        least = inf
        for member, weight in (*found[start:], *found[:start]):
            faded = exp((member.seen_at - now) / self._decay)
            latency = member.latency * faded or self._usual
            if member.unanswered:
                silence = min(now - member.silent_since, _SILENCE * member.total.usual)
                latency = max(latency, silence)
            success = 1.0 - _WORST * member.errors * faded
            burden = member.in_flight + 1.0
            age = now - member.reported_at
            if age < self._stale:
                fresh = 1.0 - age / self._stale
                crowd = member.others / (member.others + burden)
                burden *= 1.0 + fresh * max(crowd, member.pressure)
            cost = latency * burden / (weight * success * success * success)
            if cost < least:
                best, least = member, cost
        if best.latency:
            self._usual += _LEARN * (best.latency - self._usual)
        return best
