"""The metrics under the conventions' names, as a scrape gets them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.control.exporter import Exporter
from sidecar.llm.usage import Usage
from sidecar.observe.conventions import Attributes, Conventions
from sidecar.observe.semconv import Version
from sidecar.observe.stats import Stats
from tests.test_docs import rows

CHAT = Attributes("chat", "openai", "m", "m-2", "api.openai.com", "443")
EMBEDDINGS = CHAT._replace(operation="embeddings")
MORE = ("error_type", "gen_ai_token_type", "gen_ai_token_modality")
INFERENCE = "gen_ai_client_inference_"


def counted(version: Version) -> Stats:
    stats = Stats(0.0)
    stats.conventions = conventions = Conventions(version)
    chat = conventions.of(CHAT)
    chat.durations[""].observe(2.0)
    chat.durations["rate_limit"].observe(0.5)
    chat.first_chunk.observe(0.25)
    chat.chunk.observe_each(0.125, 10)
    chat.spend(Usage(100, 40, 3, 20, 5))
    embeddings = conventions.of(EMBEDDINGS)
    embeddings.durations[""].observe(1.0)
    embeddings.spend(Usage(7))
    return stats


def samples(version: Version) -> dict[tuple[str, str, str], float]:
    """Values of sums and counters, by name, operation, and error or kind of token."""
    body, _ = Exporter(counted(version)).render("text/plain")
    return {
        (
            sample.name,
            sample.labels["gen_ai_operation_name"],
            next((sample.labels[name] for name in MORE if name in sample.labels), "-"),
        ): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name.startswith("gen_ai_") and sample.name.endswith(("_sum", "_total"))
    }


def test_of_the_last_version_that_backends_know() -> None:
    assert samples("1.41") == {
        ("gen_ai_client_operation_duration_seconds_sum", "chat", ""): 2.0,
        ("gen_ai_client_operation_duration_seconds_sum", "chat", "rate_limit"): 0.5,
        ("gen_ai_client_operation_duration_seconds_sum", "embeddings", ""): 1.0,
        ("gen_ai_client_operation_time_to_first_chunk_seconds_sum", "chat", "-"): 0.25,
        ("gen_ai_client_operation_time_per_output_chunk_seconds_sum", "chat", "-"): 1.25,
        ("gen_ai_client_token_usage_sum", "chat", "input"): 100,
        ("gen_ai_client_token_usage_sum", "chat", "output"): 20,
        ("gen_ai_client_token_usage_sum", "embeddings", "input"): 7,
        ("gen_ai_client_token_usage_sum", "embeddings", "output"): 0,
    }


def test_of_the_latest() -> None:
    assert samples("latest") == {
        (f"{INFERENCE}duration_seconds_sum", "chat", ""): 2.0,
        (f"{INFERENCE}duration_seconds_sum", "chat", "rate_limit"): 0.5,
        ("gen_ai_client_operation_duration_seconds_sum", "embeddings", ""): 1.0,
        (f"{INFERENCE}time_to_first_chunk_seconds_sum", "chat", "-"): 0.25,
        (f"{INFERENCE}time_per_output_chunk_seconds_sum", "chat", "-"): 1.25,
        ("gen_ai_client_token_usage_sum", "embeddings", "input"): 7,
        ("gen_ai_client_token_usage_sum", "embeddings", "output"): 0,
        (f"{INFERENCE}usage_input_tokens_total", "chat", "unknown"): 100,
        (f"{INFERENCE}usage_output_tokens_total", "chat", "unknown"): 20,
        (f"{INFERENCE}usage_cache_read_input_tokens_total", "chat", "unknown"): 40,
        (f"{INFERENCE}usage_cache_write_input_tokens_total", "chat", "unknown"): 3,
        (f"{INFERENCE}usage_reasoning_output_tokens_total", "chat", "unknown"): 5,
        (f"{INFERENCE}operation_input_tokens_sum", "chat", "-"): 100,
        (f"{INFERENCE}operation_output_tokens_sum", "chat", "-"): 20,
    }


@pytest.mark.parametrize(("version", "column"), [("1.41", 0), ("latest", 1)])
def test_the_page_names_them(version: Version, column: int) -> None:
    told = " ".join(row[column] for row in rows("docs/slo.md", "OpenTelemetry's names"))
    body, _ = Exporter(counted(version)).render("text/plain")
    for family in text_string_to_metric_families(body.decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        if name.startswith("gen_ai_client_token_usage" if version == "1.41" else INFERENCE):
            assert f"`{name}`" in told


def test_without_them_there_are_none() -> None:
    body, _ = Exporter(Stats(0.0)).render("text/plain")
    assert b"gen_ai" not in body


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("version", ["1.41", "latest"])
def test_promtool_finds_nothing_to_say(version: Version) -> None:
    body, _ = Exporter(counted(version)).render("text/plain")
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
