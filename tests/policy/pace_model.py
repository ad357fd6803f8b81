"""What the store does with a pace that sidecars share: the same as the script of `SharedPaces`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sidecar.policy.shared_pace import LAW, Report, Share


@dataclass
class Paces:
    """One key of the store."""

    at: float
    rate: float | None = None
    stop: float = 0.0
    refusals: int = 0
    slow: bool = False
    held: float = 0.0
    members: dict[str, tuple[int, float, float, float]] = field(default_factory=dict)

    def take(self, member: str, report: Report, now: float) -> Share:
        new = member not in self.members or self.members[member][0] != report.number
        self.members[member] = (report.number, report.sent, report.wanted, now + 5)
        self.members = {name: each for name, each in self.members.items() if each[3] >= now}
        wanted = sum(each[2] for each in self.members.values())
        if not self.rate and report.known > 0:
            self.rate, self.held = report.known, now
        if report.refused and new:
            self._refused(report, now)
        elif self.rate and wanted > self.rate:
            passed = min(now - self.at, 2.0)
            self.rate *= math.exp(min(1.0, LAW.takes * self._due(self.rate) * passed))
            self.held = now
        elif self.rate and now - self.held > LAW.forget:
            self.rate, self.refusals = None, 0
        self.at = now
        return Share(self._level(), self.rate or 0.0, max(0.0, self.stop - now))

    def _refused(self, report: Report, now: float) -> None:
        if now >= self.stop:
            if self.rate:
                rate = self.rate * (1 - LAW.takes)
                self.refusals += 1
            else:
                rate = sum(each[1] for each in self.members.values()) * (1 - LAW.first)
            self.rate = max(LAW.least, rate)
            self.slow, self.held = report.refused == 2, now
        self.stop = max(self.stop, now + report.stop)

    def _due(self, rate: float) -> float:
        due: float = max(LAW.fewest, LAW.scale * rate**LAW.falls)
        due = max(min(LAW.share * rate, due), LAW.search * 0.5**self.refusals)
        return due * LAW.slow if self.slow else due

    def _level(self) -> float | None:
        if not self.rate:
            return None
        left, level = self.rate, 0.0
        demands = sorted(each[2] for each in self.members.values())
        for index, demand in enumerate(demands):
            level = left / (len(demands) - index)
            if demand > level:
                break
            left -= demand
            level = demand + left
        return level
