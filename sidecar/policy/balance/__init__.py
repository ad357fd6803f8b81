"""Which endpoint an attempt goes to. Pure: time and randomness are arguments.

A balancer gets the members when they or their weights change, so that a pick costs about the same
for three members and for a thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.policy.balance.base import Balancer, BalanceSettings
from sidecar.policy.balance.dynamic import Dynamic
from sidecar.policy.balance.hashing import stable_hash
from sidecar.policy.balance.least_conn import LeastConn
from sidecar.policy.balance.rendezvous import Rendezvous
from sidecar.policy.balance.ring import Ring
from sidecar.policy.balance.round_robin import RoundRobin

__all__ = ["BalanceSettings", "Balancer", "make", "stable_hash"]

_METHODS: Final[dict[str, Callable[[BalanceSettings], Balancer]]] = {
    "round_robin": RoundRobin,
    "least_conn": LeastConn,
    "ip_hash": Ring,
    "dynamic": Dynamic,
    "prefix": Rendezvous,
}


def make(settings: BalanceSettings) -> Balancer:
    """Make a balancer of `settings.method`, without members."""
    return _METHODS[settings.method](settings)
