"""Pages as the projects' documentation shows them, and what must not be read into others."""

import json
import time
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.llm.report import MAX_PAGE, parse_metrics, parse_orca
from sidecar.policy.load import Report

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="glm"} 8.0
vllm:num_requests_running{engine="1",model_name="glm"} 5.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="glm"} 3.0
vllm:num_requests_waiting{engine="1",model_name="glm"} 0.0
# HELP vllm:num_requests_waiting_by_reason Number of requests waiting, by reason.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="glm",reason="capacity"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="glm"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="glm"} 0.25
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="glm"} 1.263648e+06
vllm:prompt_tokens_created{engine="0",model_name="glm"} 1.7e+09
"""
OLD_VLLM = b"""\
vllm:num_requests_running{model_name="m"} 2
vllm:num_requests_swapped{model_name="m"} 9
vllm:num_requests_waiting{model_name="m"} 1
vllm:gpu_cache_usage_perc{model_name="m"} 0.125
vllm:cpu_cache_usage_perc{model_name="m"} 0.75
"""
BOTH_VLLM = b"""\
vllm:gpu_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="0"} 0.5
"""
SGLANG = b"""\
# HELP sglang:token_usage The token usage.
# TYPE sglang:token_usage gauge
sglang:token_usage{engine_type="unified",model_name="Qwen/Qwen3-8B",pp_rank="0",tp_rank="0"} 0.28
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",tp_rank="0"} 24.0
sglang:num_running_reqs_offline_batch{engine_type="unified"} 7.0
sglang:num_queue_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B",tp_rank="0"} 3.0
sglang:num_grammar_queue_reqs{engine_type="unified",model_name="Qwen/Qwen3-8B"} 6.0
"""
SGLANG_PRIORITIES = b"""\
sglang:num_running_reqs{engine_type="unified",tp_rank="0",priority=""} 5.0
sglang:num_running_reqs{engine_type="unified",tp_rank="0",priority="1"} 3.0
sglang:num_running_reqs{engine_type="unified",tp_rank="0",priority="-7"} 2.0
sglang:num_queue_reqs{priority="",tp_rank="0"} 4.0
sglang:num_queue_reqs{priority="1",tp_rank="0"} 4.0
"""
TGI = b"""\
# TYPE tgi_request_count counter
tgi_request_count 42

# TYPE tgi_queue_size gauge
tgi_queue_size 12

# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 4

# TYPE tgi_batch_next_size histogram
tgi_batch_next_size_bucket{le="1"} 9
"""
LLAMA = b"""\
# HELP llamacpp:predicted_tokens_seconds Average generation throughput in tokens/s.
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds 31.6
# HELP llamacpp:kv_cache_usage_ratio KV-cache usage. 1 means 100 percent usage.
# TYPE llamacpp:kv_cache_usage_ratio gauge
llamacpp:kv_cache_usage_ratio 0.3125
llamacpp:requests_processing 4
llamacpp:requests_deferred 46
llamacpp:n_busy_slots_per_decode 3.87
"""
DCGM = b"""\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-8f1f",device="nvidia0",modelName="NVIDIA H100"} 90
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-604a",device="nvidia1",modelName="NVIDIA H100"} 60
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-f3a2",device="nvidia2",modelName="NVIDIA H100"} \
9223372036854775794
# TYPE DCGM_FI_DEV_MEM_COPY_UTIL gauge
DCGM_FI_DEV_MEM_COPY_UTIL{gpu="0",UUID="GPU-8f1f"} 10
"""


@pytest.mark.parametrize(
    ("page", "report"),
    [
        (VLLM, Report(queued=3, running=13, kv_used=0.375)),
        (OLD_VLLM, Report(queued=1, running=2, kv_used=0.125)),
        (BOTH_VLLM, Report(kv_used=0.5)),
        (SGLANG, Report(queued=3, running=24, kv_used=0.28)),
        (SGLANG_PRIORITIES, Report(queued=4, running=5)),
        (TGI, Report(queued=12, running=4)),
        (LLAMA, Report(queued=46, running=4, kv_used=0.3125)),
        (DCGM, Report(utilization=0.75)),
        (VLLM + DCGM, Report(queued=3, running=13, kv_used=0.375, utilization=0.75)),
        (VLLM.replace(b"\n", b"\r\n"), Report(queued=3, running=13, kv_used=0.375)),
    ],
)
def test_a_page(page: bytes, report: Report) -> None:
    assert parse_metrics(page) == report


@pytest.mark.parametrize(
    ("line", "queued"),
    [
        (b"tgi_queue_size 3", 3),  # no line end
        (b"tgi_queue_size\t3\n", 3),
        (b"tgi_queue_size 3 1395066363000\n", 3),
        (b"tgi_queue_size 3e+01\n", 30),
        (b"tgi_queue_size{} 3\n", 3),
        (b'tgi_queue_size{a="}",b="\\"} 7"} 3\n', 3),
        (b'tgi_queue_size{a="x,priority=\\"1\\""} 3\n', 3),
        (b"tgi_queue_size 0\n", 0),
        (b"tgi_queue_size 1\ntgi_queue_size NaN\ntgi_queue_size 2\n", 3),
        (b"tgi_queue_size 1\ntgi_queue_size x\ntgi_queue_size -5\n", 1),
    ],
)
def test_a_line(line: bytes, queued: float) -> None:
    assert parse_metrics(line) == Report(queued=queued)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"# tgi_queue_size 3\n",
        b" tgi_queue_size 3\n",
        b"tgi_queue_size3\n",
        b"tgi_queue_size_max 3\n",
        b"x_tgi_queue_size 3\n",
        b"tgi_queue_size\n3\n",
        b"tgi_queue_size NaN\n",
        b"tgi_queue_size +Inf\n",
        b"tgi_queue_size 1e999\n",
        b"tgi_queue_size 1_0\n",
        b"tgi_queue_size -1\n",
        b"tgi_queue_size 3x\n",
        b"tgi_queue_size --\n",
        b'tgi_queue_size{a="b} 3\n',
        b'tgi_queue_size{a="b\n"} 3\n',
        b"tgi_queue_size " + b"1" * 65 + b"\n",
        b"DCGM_FI_DEV_GPU_UTIL 9223372036854775794\n",
        b"\n" * MAX_PAGE + b"tgi_queue_size 3\n",
        b"<html>404</html>",
    ],
)
def test_what_tells_nothing(page: bytes) -> None:
    assert parse_metrics(page) is None


def test_a_share_is_at_most_all() -> None:
    assert parse_metrics(b"sglang:token_usage 1.0001\n") == Report(kv_used=1)


NAMES = [b"vllm:num_requests_waiting", b"vllm:kv_cache_usage_perc", b"DCGM_FI_DEV_GPU_UTIL"]
PIECES = [*NAMES, b"{", b"}", b'"', b"\\", b"\n", b" ", b"a=", b"1", b"NaN", b"e9", b"priority="]


def is_sound(report: Report | None) -> bool:
    return report is None or (
        0 <= report.queued < 1e19
        and 0 <= report.running < 1e19
        and 0 <= report.kv_used <= 1
        and 0 <= report.utilization <= 1
    )


@given(st.binary() | st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
@example(b"tgi_queue_size 9e14\n" * 2000)
def test_any_page_is_read_without_an_error(page: bytes) -> None:
    assert is_sound(parse_metrics(page))


def seconds(page: bytes) -> float:
    """The best of five, as others use this machine too."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        parse_metrics(page)
        best = min(best, time.perf_counter() - started)
    return best


def test_a_large_page_is_read_fast() -> None:
    buckets = b"".join(
        b'vllm:time_to_first_token_seconds_bucket{engine="0",le="%d",model_name="m%d"} 3.0\n' % pair
        for pair in product(range(30), range(42))
    )
    page = VLLM + buckets + OLD_VLLM
    assert 90_000 < len(page) < 120_000
    assert seconds(page) < 0.002


@pytest.mark.parametrize(
    "piece",
    [
        b"\n",
        b"\ntgi_queue_siz",
        b"\ntgi_queue_size{",
        b"\ntgi_queue_size 1",
        b'\ntgi_queue_size{a="b"',
        b'",',
        b'\\"',
        b"vllm:num_requests_running",
    ],
)
def test_no_page_takes_long(piece: bytes) -> None:
    page = b'tgi_queue_size{a="' + piece * (MAX_PAGE // len(piece))
    assert seconds(page) < 0.1


@pytest.mark.parametrize(
    ("value", "report"),
    [
        (
            b"TEXT cpu_utilization=0.3, application_utilization=0.7, "
            b"named_metrics.kv_cache_utilization=0.4",
            Report(kv_used=0.4, utilization=0.7),
        ),
        (b"TEXT cpu_utilization:0.3,mem_utilization:0.9,eps:2", Report(utilization=0.3)),
        (
            b"TEXT named_metrics.kv_cache_usage_perc=0.25, named_metrics.num_requests_waiting=2.0",
            Report(queued=2, kv_used=0.25),
        ),
        (b"TEXT named_metrics.kv_cache_usage_perc:0.25", Report(kv_used=0.25)),
        (
            b'JSON {"named_metrics": {"kv_cache_usage_perc": 0.5, "num_requests_waiting": 3.0}}',
            Report(queued=3, kv_used=0.5),
        ),
        (
            b'JSON {"cpuUtilization": 0.1, "applicationUtilization": 1.3, '
            b'"namedMetrics": {"num_requests_running": 4}, "utilization": {"gpu": 0.9}}',
            Report(running=4, utilization=1),
        ),
        (b'JSON {"cpu_utilization":0,"rpsFractional":9}', Report()),
        (b"TEXT cpu_utilization=x,application_utilization=nan,=,,cpu_utilization", None),
        (b'JSON {"cpu_utilization":"0.3"}', None),
        (b'JSON {"cpu_utilization":true}', None),
        (b'JSON {"cpu_utilization":-1, "named_metrics": [1]}', None),
        (b"JSON [1]", None),
        (b'JSON {"cpu_utilization":' + b"[" * 8000, None),
        (b'JSON {"named_metrics":{"x":' + b"1" * 8000 + b"}}", None),
        (b"BIN CZqZmZmZmbk/", None),
        (b"TEXT", None),
        (b"cpu_utilization=0.3", None),
        (b"text cpu_utilization=0.3", None),
        (b"", None),
    ],
)
def test_a_header(value: bytes, report: Report | None) -> None:
    assert parse_orca(value) == report


FIELDS = st.sampled_from(
    ["named_metrics", "namedMetrics", "cpu_utilization", "kv_cache_usage_perc", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
    max_leaves=10,
)


@given(st.sampled_from([b"TEXT ", b"JSON ", b""]), st.binary())
def test_any_header_is_read_without_an_error(kind: bytes, rest: bytes) -> None:
    assert is_sound(parse_orca(kind + rest))


@given(st.dictionaries(FIELDS, JSON))
def test_any_json_header_is_read_without_an_error(report: dict[str, object]) -> None:
    assert is_sound(parse_orca(b"JSON " + json.dumps(report).encode()))


@given(st.lists(st.tuples(FIELDS, st.sampled_from("=:"), st.floats() | st.text())))
def test_any_text_header_is_read_without_an_error(entries: list[tuple[str, str, object]]) -> None:
    text = ",".join(f"named_metrics.{name}{sign}{value}" for name, sign, value in entries)
    assert is_sound(parse_orca(b"TEXT " + text.encode("utf-8", "surrogatepass")))
