"""Load reports of inference servers: metrics pages, and a header of their replies.

Nothing raises an error; unknown content counts as absent. Sources of the names: vLLM "Production
Metrics" (`gpu_cache_usage_perc` until 0.9, `kv_cache_usage_perc` since); SGLang "Production
Metrics"; Hugging Face TGI "Metrics"; llama.cpp `tools/server/README.md` (later versions have no
`kv_cache_usage_ratio`); NVIDIA dcgm-exporter. The first two are those of the model server protocol
of Kubernetes' Gateway API inference extension too.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sidecar.policy.load import Report

MAX_PAGE: Final = 2**20
"""Bytes of a metrics page that are read."""
_MAX_HEADER: Final = 8192
_MAX_SERIES: Final = 1024
"""Series of one name that are read: engines, models, GPUs."""
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
"""Each with its value for full."""
_ORCA: Final = {
    b"named_metrics.num_requests_waiting": "queued",
    b"named_metrics.num_requests_running": "running",
    b"named_metrics.kv_cache_usage_perc": "kv_used",
    b"named_metrics.gpu_cache_usage_perc": "kv_used",
    b"named_metrics.kv_cache_utilization": "kv_used",
    b"application_utilization": "utilization",
    b"cpu_utilization": "cpu",
}
"""Names that vLLM (`orca_metrics.py`) and Triton (TensorRT-LLM) send, and those of gRFC A58."""


class _Named(msgspec.Struct):
    num_requests_waiting: float | None = None
    num_requests_running: float | None = None
    kv_cache_usage_perc: float | None = None
    gpu_cache_usage_perc: float | None = None
    kv_cache_utilization: float | None = None


class _Orca(msgspec.Struct):
    """An ORCA report in JSON, in which protobuf has two spellings of each field."""

    named_metrics: _Named | None = None
    camel_named: _Named | None = msgspec.field(name="namedMetrics", default=None)
    application_utilization: float | None = None
    camel_application: float | None = msgspec.field(name="applicationUtilization", default=None)
    cpu_utilization: float | None = None
    camel_cpu: float | None = msgspec.field(name="cpuUtilization", default=None)


_decode: Final = msgspec.json.Decoder(_Orca).decode

# The text format's labels (a value may hold anything, quotes and backslashes escaped), a value;
# a time stamp may follow. Possessive, so that no page makes it try twice.
_SAMPLE: Final = re.compile(
    rb'(\{(?:[^"}\n]++|"(?:[^"\\\n]++|\\.)*+")*+\})?+[ \t]++([0-9.eE+-]{1,64}+)(?=[\s]|\Z)'
).match
# With priority scheduling, SGLang gives each number in all (`priority=""`) and for each priority.
_PART: Final = re.compile(rb'[{,]priority="[^"]').search


def parse_metrics(text: bytes) -> Report | None:
    """Read the load from a page in Prometheus's text format; None if it has none.

    Counts of one name are summed, shares averaged.
    """
    page = b"\n" + text[:MAX_PAGE]
    found: dict[str, float] = {}
    for name, field in _COUNTS.items():
        if values := _values(page, name):
            found[field] = found.get(field, 0.0) + sum(values)
    for name, (field, full) in _SHARES.items():
        # DCGM writes an unknown value as a number far beyond the scale (DCGM_INT64_BLANK).
        if values := [value for value in _values(page, name) if value <= 2 * full]:
            share = min(1.0, sum(values) / len(values) / full)
            found[field] = max(share, found.get(field, 0.0))  # two names of the same thing
    return Report(**found) if found else None


def parse_orca(value: bytes) -> Report | None:
    """Read the load from a reply's `endpoint-load-metrics`; None if it has none.

    vLLM and Triton send it if the request has `endpoint-load-metrics-format: TEXT` (or JSON). The
    forms: `TEXT name=value, ...` (Envoy separates with a colon, the others with an equals sign) and
    `JSON {...}` of an xds.data.orca.v3.OrcaLoadReport. `BIN`, its protobuf, is not read.
    """
    if len(value) > _MAX_HEADER:
        return None
    kind, _, rest = value.partition(b" ")
    if kind == b"TEXT":
        return _report(_from_text(rest))
    return _report(_from_json(rest)) if kind == b"JSON" else None


def _values(page: bytes, name: bytes) -> list[float]:
    """Return all values of the series *name*, without negative ones and non-numbers."""
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
        name, _, value = entry.replace(b":", b"=", 1).partition(b"=")
        field = _ORCA.get(name.strip())
        if field is not None and (number := _number(value)) is not None:
            found[field] = number
    return found


def _from_json(text: bytes) -> dict[str, float]:
    try:
        orca = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    named = orca.named_metrics or orca.camel_named or _Named()
    said = {
        "queued": (named.num_requests_waiting,),
        "running": (named.num_requests_running,),
        "kv_used": (
            named.kv_cache_usage_perc,
            named.gpu_cache_usage_perc,
            named.kv_cache_utilization,
        ),
        "utilization": (orca.application_utilization, orca.camel_application),
        "cpu": (orca.cpu_utilization, orca.camel_cpu),
    }
    return {
        field: value
        for field, values in said.items()
        for value in values
        if value is not None and 0 <= value < _MAX_VALUE
    }


def _report(found: dict[str, float]) -> Report | None:
    """gRFC A58: an application's own utilization takes precedence over the processor's."""
    if not found:
        return None
    utilization = found.get("utilization", found.get("cpu", 0.0))
    return Report(
        found.get("queued", 0.0),
        found.get("running", 0.0),
        min(1.0, found.get("kv_used", 0.0)),
        min(1.0, utilization),
    )
