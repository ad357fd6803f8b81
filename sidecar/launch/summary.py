"""What the calls of a program did, from a sidecar's metrics before and after. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Final

_SAMPLE: Final = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Counts = Mapping[tuple[str, str], float]
"""By metric, and the value of the one label that matters here."""

_TOLD_BY: Final = {
    "sidecar_calls_total": "status",
    "sidecar_listener_decisions_total": "decision",
    "sidecar_retries_total": "reason",
    "sidecar_tokens_total": "kind",
    "sidecar_cost_total": "",
    "sidecar_replies_total": "verdict",
    "sidecar_first_token_seconds_bucket": "le",
    "sidecar_call_duration_seconds_sum": "",
    "sidecar_call_duration_seconds_count": "",
    "sidecar_call_first_byte_seconds_sum": "",
    "sidecar_call_first_byte_seconds_count": "",
}
_PASSED: Final = frozenset(
    {"not_routed", "not_http", "only_h2", "untrusting", "silent", "server_first", "no_ca"}
)


_DETAILS: Final = ("cached", "reasoning")
_AS_IT_IS: Final[Mapping[str, str]] = MappingProxyType({})


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
    """Tell what happened between the two, in a few lines."""
    new = {key: value - before.get(key, 0.0) for key, value in after.items()}
    statuses = _by_label(new, "sidecar_calls_total")
    parts = [_plural(sum(statuses.values()), "call")]
    lines = [parts]
    if any(statuses.values()):
        parts[0] += f" ({_listed(statuses, '{} x {}', {'0': 'left'})})"
        retries = _by_label(new, "sidecar_retries_total")
        parts.append(_plural(sum(retries.values()), "retry", "retries"))
        if retries:
            parts[-1] += f" ({_listed(retries, '{} after {}')})"
        parts += _times(new)
        lines += [_tokens(new) + _first_tokens(new), _incomplete(new)]
    lines.append(_connections(new))
    return "\n".join(", ".join(line) for line in lines if line)


def _by_label(new: Counts, metric: str) -> dict[str, int]:
    """Counts of *metric* that are not 0, by its label."""
    return {key[1]: int(value) for key, value in sorted(new.items()) if key[0] == metric and value}


def _listed(counts: Mapping[str, int], form: str, told: Mapping[str, str] = _AS_IT_IS) -> str:
    return ", ".join(form.format(count, told.get(name, name)) for name, count in counts.items())


def _tokens(new: Counts) -> list[str]:
    kinds = _by_label(new, "sidecar_tokens_total")
    guessed = [kinds.get(f"estimated_{way}", 0) for way in ("input", "output")]
    read, made = (kinds.get(way, 0) for way in ("input", "output"))
    found = []
    if read or made or any(guessed):
        sign = "~" if any(guessed) else ""
        found.append(f"{sign}{read + guessed[0]:,} tokens read, {made + guessed[1]:,} made")
        details = {name: count for name, count in kinds.items() if name in _DETAILS}
        if details:
            found[0] += f" ({_listed(details, '{:,} {}')})"
    cost = new.get(("sidecar_cost_total", ""), 0.0)
    return [*found, f"cost {cost:.4g}"] if cost else found


def _first_tokens(new: Counts) -> list[str]:
    buckets = sorted(
        (float(le), count)
        for (name, le), count in new.items()
        if name == "sidecar_first_token_seconds_bucket"
    )
    if not buckets or not buckets[-1][1]:
        return []
    half, most = (_quantile(share, buckets) * 1000 for share in (0.5, 0.95))
    return [f"first token p50 about {half:,.0f} ms, p95 about {most:,.0f} ms"]


def _quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Interpolate in the bucket that has it, as Prometheus' `histogram_quantile` does."""
    wanted = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if bound == inf:
                break
            return low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low


def _incomplete(new: Counts) -> list[str]:
    verdicts = _by_label(new, "sidecar_replies_total")
    verdicts.pop("complete", None)
    if not verdicts:
        return []
    count = sum(verdicts.values())
    return [f"{_plural(count, 'reply', 'replies')} not complete ({_listed(verdicts, '{} {}')})"]


def _connections(new: Counts) -> list[str]:
    decided = _by_label(new, "sidecar_listener_decisions_total")
    found = []
    if passed := sum(decided.get(decision, 0) for decision in _PASSED):
        found.append(f"{_plural(passed, 'connection')} passed through")
    if refused := decided.get("certificate_refused", 0):
        found.append(f"{_plural(refused, 'connection')} that did not trust the local CA")
    return found


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
