"""What the calls of a program did, from a sidecar's metrics before and after. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

_SAMPLE: Final = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Counts = Mapping[tuple[str, str], float]
"""By metric, and the value of the one label that matters here."""

_TOLD_BY: Final = {
    "sidecar_calls_total": "status",
    "sidecar_listener_decisions_total": "decision",
    "sidecar_retries_total": "",
    "sidecar_call_duration_seconds_sum": "",
    "sidecar_call_duration_seconds_count": "",
    "sidecar_call_first_byte_seconds_sum": "",
    "sidecar_call_first_byte_seconds_count": "",
}
_PASSED: Final = frozenset(
    {"not_routed", "not_http", "only_h2", "untrusting", "silent", "server_first", "no_ca"}
)


def read(text: str) -> Counts:
    """The counts in *text*, which is in Prometheus' text format."""
    counts: defaultdict[tuple[str, str], float] = defaultdict(float)
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is not None and found[1] in _TOLD_BY:
            labels = dict(_LABEL.findall(found[2] or ""))
            counts[found[1], labels.get(_TOLD_BY[found[1]], "")] += float(found[3])
    return counts


def summary(before: Counts, after: Counts) -> str:
    """One line about what happened between the two."""
    new = {key: value - before.get(key, 0.0) for key, value in after.items()}
    statuses = {key[1]: int(value) for key, value in new.items() if key[0] == "sidecar_calls_total"}
    calls = sum(statuses.values())
    parts = [_plural(calls, "call")]
    if calls:
        parts[0] += f" ({_listed(statuses)})"
        parts.append(_plural(int(new.get(("sidecar_retries_total", ""), 0)), "retry", "retries"))
        parts += _times(new)
    decided = {
        key[1]: value for key, value in new.items() if key[0] == "sidecar_listener_decisions_total"
    }
    passed = int(sum(decided.get(decision, 0) for decision in _PASSED))
    if passed:
        parts.append(f"{_plural(passed, 'connection')} passed through")
    if refused := int(decided.get("certificate_refused", 0)):
        parts.append(f"{_plural(refused, 'connection')} that did not trust the local CA")
    return ", ".join(parts)


def _listed(statuses: Mapping[str, int]) -> str:
    told = {"0": "left"}
    return ", ".join(
        f"{count} x {told.get(status, status)}"
        for status, count in sorted(statuses.items())
        if count
    )


def _times(new: Counts) -> list[str]:
    found = []
    for name, text in (("duration", "mean {}"), ("first_byte", "first byte {}")):
        metric = f"sidecar_call_{name}_seconds"
        count = new.get((f"{metric}_count", ""), 0.0)
        if count:
            mean = new.get((f"{metric}_sum", ""), 0.0) / count
            found.append(text.format(f"{mean * 1000:.0f} ms"))
    return found


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
