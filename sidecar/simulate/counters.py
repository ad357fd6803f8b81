"""What an endpoint counts, and its load in vLLM's metric names."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

UNLIMITED: Final = 256
"""Calls at once that count as full load when there is no limit: vLLM's default `max_num_seqs`."""


@dataclass(slots=True)
class Counters:
    """Live numbers of one endpoint; the event loop is the only writer."""

    requests: int = 0
    """Calls that were understood, whatever became of them."""
    completed: int = 0
    """Replies sent to their end, as the API means them."""
    rejected: int = 0
    """Calls that were not understood (400, 413)."""
    cancelled: int = 0
    """Callers that left before their reply ended."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failures that were staged, by status or setting; `down` for calls cut by an outage."""
    concurrency: int = 0
    """Calls in flight, hung and waiting ones too."""
    running: int = 0
    """Calls that hold a slot."""
    waiting: int = 0
    """Calls in the queue for a slot."""
    prompt_tokens: int = 0
    tokens: int = 0
    """Tokens generated, for callers that left as well."""

    def snapshot(self) -> dict[str, Any]:
        """The numbers now, ready for JSON."""
        return asdict(self) | {"failures": dict(sorted(self.failures.items()))}


def render_metrics(counters: Counters, model: str, slots: int) -> str:
    """Prometheus text. Newer vLLMs say `kv_cache`, older ones `gpu_cache`: here are both."""
    usage = min(1.0, counters.running / (slots or UNLIMITED))
    label = model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    rows = (
        ("num_requests_running", "gauge", "Requests in execution.", counters.running),
        ("num_requests_waiting", "gauge", "Requests waiting.", counters.waiting),
        ("gpu_cache_usage_perc", "gauge", "Cache usage; 1 is full.", usage),
        ("kv_cache_usage_perc", "gauge", "Cache usage; 1 is full.", usage),
        ("prompt_tokens_total", "counter", "Prompt tokens.", counters.prompt_tokens),
        ("generation_tokens_total", "counter", "Generated tokens.", counters.tokens),
    )
    return "".join(
        f"# HELP vllm:{name} {about}\n# TYPE vllm:{name} {kind}\n"
        f'vllm:{name}{{engine="0",model_name="{label}"}} {float(value)}\n'
        for name, kind, about, value in rows
    )
