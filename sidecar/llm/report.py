"""What inference servers say of their load: metrics pages, and a header of their replies.

Whatever comes is read without an error; what is not understood counts as not said. Sources of the
names: vLLM "Production Metrics" (`gpu_cache_usage_perc` until 0.9, `kv_cache_usage_perc` since);
SGLang "Production Metrics"; Hugging Face TGI "Metrics"; llama.cpp `tools/server/README.md` (later
versions have no `kv_cache_usage_ratio`); NVIDIA dcgm-exporter. The first two are those of the
model server protocol of Kubernetes' Gateway API inference extension too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.policy.load import Report

MAX_PAGE: Final = 2**20
"""Bytes of a metrics page that are looked at."""
_MAX_HEADER: Final = 8192
_MAX_SERIES: Final = 1024
"""Series of one name that are looked at: engines, models, GPUs."""
_MAX_VALUE: Final = 1e15

_COUNTS: Final = {
    b"vllm:num_requests_waiting": "queued",
    b"vllm:num_requests_running": "running",
    b"sglang:num_queue_reqs": "queued",
    b"sglang:num_running_reqs": "running",
    b"tgi_queue_size": "queued",
    b"tgi_batch_current_size": "running",
    b"llamacpp:requests_deferred": "queued",
    b"llamacpp:requests_processing": "running",
}
_SHARES: Final = {
    b"vllm:kv_cache_usage_perc": ("kv_used", 1.0),
    b"vllm:gpu_cache_usage_perc": ("kv_used", 1.0),
    b"sglang:token_usage": ("kv_used", 1.0),
    b"llamacpp:kv_cache_usage_ratio": ("kv_used", 1.0),
    b"DCGM_FI_DEV_GPU_UTIL": ("utilization", 100.0),
}
"""Each with what it calls full."""
_ORCA: Final = {
    "num_requests_waiting": "queued",
    "num_requests_running": "running",
    "kv_cache_usage_perc": "kv_used",
    "gpu_cache_usage_perc": "kv_used",
    "kv_cache_utilization": "kv_used",
}
"""`named_metrics` as vLLM sends them (`orca_metrics.py`), and as its documentation shows them."""
_UTILIZATIONS: Final = (
    ("application_utilization", "applicationUtilization"),
    ("cpu_utilization", "cpuUtilization"),
)
"""The first that is said counts (gRFC A58); protobuf's JSON has two spellings for each."""

# The text format's labels (a value may hold anything, quotes and backslashes escaped), a value;
# a time stamp may follow. Possessive, so that no page makes it try twice.
_SAMPLE: Final = re.compile(
    rb'(\{(?:[^"}\n]++|"(?:[^"\\\n]++|\\.)*+")*+\})?+[ \t]++([0-9.eE+-]{1,64}+)(?=[\s]|\Z)'
).match
# With priority scheduling, SGLang gives each number in all (`priority=""`) and for each priority.
_PART: Final = re.compile(rb'[{,]priority="[^"]').search


def parse_metrics(text: bytes) -> Report | None:
    """The load that a page in Prometheus's text format tells, or None if it tells none.

    Series of one name are summed if they count, averaged if they are shares.
    """
    page = b"\n" + text[:MAX_PAGE]
    found: dict[str, float] = {}
    for name, field in _COUNTS.items():
        if values := _values(page, name):
            found[field] = found.get(field, 0.0) + sum(values)
    for name, (field, full) in _SHARES.items():
        # DCGM writes what it does not know as a number far beyond the scale (DCGM_INT64_BLANK).
        if values := [value for value in _values(page, name) if value <= 2 * full]:
            share = min(1.0, sum(values) / len(values) / full)
            found[field] = max(share, found.get(field, 0.0))  # two names of the same thing
    return Report(**found) if found else None


def parse_orca(value: bytes) -> Report | None:
    """The load that a reply's `endpoint-load-metrics` tells, or None if it tells none.

    The forms `TEXT name=value, ...` (Envoy separates with a colon, vLLM with an equals sign) and
    `JSON {...}` of an xds.data.orca.v3.OrcaLoadReport. `BIN`, its protobuf, is not read.
    """
    kind, _, rest = value[:_MAX_HEADER].partition(b" ")
    if kind == b"TEXT":
        return _orca_report(_from_text(rest))
    return _orca_report(_from_json(rest)) if kind == b"JSON" else None


def _values(page: bytes, name: bytes) -> list[float]:
    """All values of the series *name*; what is no number, or a negative one, is left out."""
    values: list[float] = []
    line = b"\n" + name
    at = page.find(line)
    for _ in range(_MAX_SERIES):
        if at < 0:
            break
        at += len(line)
        sample = _SAMPLE(page, at)
        if sample is not None and (value := _number(sample[2])) is not None:
            if sample[1] is None or not _PART(sample[1]):
                values.append(value)
            at = sample.end()
        at = page.find(line, at)
    return values


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < _MAX_VALUE else None


def _from_text(text: bytes) -> dict[str, float]:
    found: dict[str, float] = {}
    for entry in text.split(b","):
        name, separator, value = entry.partition(b"=")
        if not separator:
            name, _, value = entry.partition(b":")
        number = _number(value)
        if number is not None:
            found[name.strip().decode("latin-1")] = number
    return found


def _from_json(text: bytes) -> dict[str, float]:
    """Names as in the text form."""
    try:
        report = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    named = report.get("named_metrics", report.get("namedMetrics"))
    if isinstance(named, dict):
        report |= {f"named_metrics.{name}": value for name, value in named.items()}
    return {
        name: float(value)
        for name, value in report.items()
        if type(value) in {int, float} and 0 <= value < _MAX_VALUE
    }


def _orca_report(said: Mapping[str, float]) -> Report | None:
    found: dict[str, float] = {}
    for name, field in _ORCA.items():
        if (value := said.get(f"named_metrics.{name}")) is not None:
            found.setdefault(field, min(1.0, value) if field == "kv_used" else value)
    for names in _UTILIZATIONS:
        for name in names:
            if name in said:
                found.setdefault("utilization", min(1.0, said[name]))
    return Report(**found) if found else None
