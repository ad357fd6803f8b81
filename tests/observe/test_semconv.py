from __future__ import annotations

from typing import get_args

import pytest

from sidecar.llm.dialects import READABLE, Dialect
from sidecar.observe.semconv import (
    SECONDS,
    TOKENS,
    VERSIONS,
    is_inference,
    operation_name,
    prometheus_name,
    provider_name,
)


@pytest.mark.parametrize(
    ("dialect", "host", "provider"),
    [
        ("openai", "api.openai.com", "openai"),
        ("openai", "res.openai.azure.com", "azure.ai.openai"),
        ("openai", "res.services.ai.azure.com", "azure.ai.inference"),
        ("gemini", "us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("gemini", "generativelanguage.googleapis.com", "gcp.gemini"),
        ("gemini", "localhost", "gcp.gen_ai"),
        ("anthropic", "bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock"),
        ("openai", "API.X.AI.", "x_ai"),
        ("openai", "api.netflix.ai", "openai"),
        ("openai", "vllm-0", "openai"),
        ("mistral", "10.0.0.1", "mistral_ai"),
    ],
)
def test_the_provider_is_the_servers_else_the_dialects(
    dialect: Dialect, host: str, provider: str
) -> None:
    assert provider_name(dialect, host) == provider


@pytest.mark.parametrize("dialect", get_args(Dialect))
def test_every_dialect_has_a_provider(dialect: Dialect) -> None:
    assert provider_name(dialect, "localhost")


@pytest.mark.parametrize(
    ("operation", "name", "inference"),
    [
        ("chat", "chat", True),
        ("messages", "chat", True),
        ("completions", "text_completion", True),
        ("streamGenerateContent", "generate_content", True),
        ("batchEmbedContents", "embeddings", False),
        ("files", "files", False),
        ("", "", False),
    ],
)
def test_operations(operation: str, name: str, inference: bool) -> None:
    assert (operation_name(operation), is_inference(operation)) == (name, inference)


def test_every_operation_that_is_read_is_known_or_an_image_or_audio() -> None:
    assert {o for o in READABLE if operation_name(o) == o} == {
        "chat", "embeddings", "images", "audio",
    }  # fmt: skip


def test_buckets_are_those_of_the_conventions() -> None:
    assert (SECONDS[0], SECONDS[-1], len(SECONDS)) == (0.01, 81.92, 14)
    assert [int(bound) for bound in TOKENS] == [
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    ]  # fmt: skip


def test_names_for_prometheus() -> None:
    old = VERSIONS["1.41"]
    assert prometheus_name(old.duration, "s") == "gen_ai_client_operation_duration_seconds"
    assert prometheus_name(old.one_usage, "{token}") == "gen_ai_client_token_usage"
    new = VERSIONS["latest"]
    assert (
        prometheus_name(new.usage["cached"], "{token}")
        == "gen_ai_client_inference_usage_cache_read_input_tokens"
    )
