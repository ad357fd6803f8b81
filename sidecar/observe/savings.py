"""Calls that needed no upstream call of their own, and what those would have cost."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.llm.usage import Usage


class Savings:
    """Of one route."""

    __slots__ = ("calls", "cost", "tokens")

    def __init__(self) -> None:
        self.calls: defaultdict[str, int] = defaultdict(int)
        """By what answered instead: `joined`, `batched`, `hit`, `stale`."""
        self.tokens: defaultdict[str, int] = defaultdict(int)
        """By kind: input, output."""
        self.cost = 0.0
        """In the currency of the prices."""

    def add(self, why: str, usage: Usage | None, cost: float | None) -> None:
        """Count a call that was answered by *why*; *usage* and *cost* are the reply's."""
        self.calls[why] += 1
        if usage is not None:
            self.tokens["input"] += usage.input
            self.tokens["output"] += usage.output
        self.cost += cost or 0.0

    def shown(self) -> dict[str, object]:
        """Return it for the admin API."""
        return {"calls": dict(self.calls), "tokens": dict(self.tokens), "cost": round(self.cost, 9)}
