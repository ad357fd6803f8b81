"""The names of OpenTelemetry's conventions for generative AI, in two versions.

1.41 is the last version that open-telemetry/semantic-conventions published (`docs/gen-ai`), and
what most backends know. `latest` is 1.42.0-dev of open-telemetry/semantic-conventions-genai
(`client-inference.md`, `gen-ai-token-metrics.md`, `non-normative/migration.md`), where everything
is still in development: this module follows it, and its names may change with any release of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from sidecar.llm.dialects import Dialect, Operation

Version = Literal["1.41", "latest"]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
SERVER_ADDRESS: Final = "server.address"
"""With `server.port`: the server behind the sidecar, never the sidecar."""
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
"""Only where the operation failed."""
CONVERSATION: Final = "gen_ai.conversation.id"
"""Only an id that the caller sent."""

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
"""A double in 1.41, an integer since."""
REQUEST_CHOICES: Final = "gen_ai.request.choice.count"
"""Only where it is not 1."""
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_REASONING: Final = "gen_ai.request.reasoning.level"
REQUEST_PREVIOUS: Final = "gen_ai.request.previous_response.id"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
RESPONSE_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds, a double; only for streams."""

USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
"""Cached tokens included, for all APIs."""
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

KIND: Final = "gen_ai.token.type"
"""1.41: `input` or `output`."""
MODALITY: Final = "gen_ai.token.modality"
"""Latest: `unknown` where the provider does not break its usage down."""

SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Bucket bounds of every duration."""
TOKENS: Final = tuple(4.0**power for power in range(14))
"""Bucket bounds of token counts: 1 to 67,108,864."""


class Names(NamedTuple):
    """The names that differ between the versions."""

    schema_url: str
    duration: str
    """Histogram in seconds, from the request to the end of the reply or to the error."""
    other_duration: str
    """The same for operations that are no inference: embeddings."""
    first_chunk: str
    """Histogram in seconds, for streams."""
    per_chunk: str
    """Histogram in seconds, for each chunk after the first."""
    one_usage: str
    """Histogram by token type: of all operations, or only of embeddings where `usage` is there."""
    usage: Mapping[str, str]
    """Counters by our kind of token: input, output, cached, cache_write, reasoning; or none."""
    tokens: Mapping[str, str]
    """Histograms of the tokens of one operation, by our kind."""
    cache_write: str
    """Attribute of a span: input tokens that were written to the provider's cache."""
    top_k_is_double: bool
    """Whether `gen_ai.request.top_k` is a double."""
    fetches: str | None
    """Operation of a request for a stored response; None where there is none."""


VERSIONS: Final[Mapping[Version, Names]] = {
    "1.41": Names(
        schema_url="https://opentelemetry.io/schemas/1.41.0",
        duration="gen_ai.client.operation.duration",
        other_duration="gen_ai.client.operation.duration",
        first_chunk="gen_ai.client.operation.time_to_first_chunk",
        per_chunk="gen_ai.client.operation.time_per_output_chunk",
        one_usage="gen_ai.client.token.usage",
        usage={},
        tokens={},
        cache_write="gen_ai.usage.cache_creation.input_tokens",
        top_k_is_double=True,
        fetches=None,
    ),
    "latest": Names(
        schema_url="https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev",
        duration="gen_ai.client.inference.duration",
        other_duration="gen_ai.client.operation.duration",
        first_chunk="gen_ai.client.inference.time_to_first_chunk",
        per_chunk="gen_ai.client.inference.time_per_output_chunk",
        one_usage="gen_ai.client.token.usage",
        usage={
            "input": "gen_ai.client.inference.usage.input_tokens",
            "output": "gen_ai.client.inference.usage.output_tokens",
            "cached": "gen_ai.client.inference.usage.cache_read.input_tokens",
            "cache_write": "gen_ai.client.inference.usage.cache_write.input_tokens",
            "reasoning": "gen_ai.client.inference.usage.reasoning.output_tokens",
        },
        tokens={
            "input": "gen_ai.client.inference.operation.input_tokens",
            "output": "gen_ai.client.inference.operation.output_tokens",
        },
        cache_write="gen_ai.usage.cache_write.input_tokens",
        top_k_is_double=False,
        fetches="fetch_response",
    ),
}

_OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "converse": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
    "generateContent": "generate_content",
    "streamGenerateContent": "generate_content",
    "interactions": "generate_content",
}

_PROVIDERS: Final = (
    ("api.openai.com", "openai"),
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".ai.azure.com", "azure.ai.inference"),
    (".anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".amazonaws.com", "aws.bedrock"),
    (".cohere.com", "cohere"),
    (".cohere.ai", "cohere"),
    (".deepseek.com", "deepseek"),
    (".groq.com", "groq"),
    (".mistral.ai", "mistral_ai"),
    (".moonshot.ai", "moonshot_ai"),
    (".moonshot.cn", "moonshot_ai"),
    (".perplexity.ai", "perplexity"),
    (".x.ai", "x_ai"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
)
"""Ends of host names."""
_FLAVORS: Final[Mapping[Dialect, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gen_ai",
    "mistral": "mistral_ai",
    "cohere": "cohere",
}


def operation_name(operation: Operation | str) -> str:
    """Return the value of `gen_ai.operation.name`; a name of our own where there is none.

    Stored responses are `Names.fetches`, where that is not None.
    """
    return _OPERATIONS.get(operation, operation)


def is_inference(operation: Operation | str) -> bool:
    """Whether *operation* has a model make something."""
    return _OPERATIONS.get(operation, "embeddings") != "embeddings"


def provider_name(dialect: Dialect, host: str) -> str:
    """Return the value of `gen_ai.provider.name` for the server *host*.

    For a host that is nobody's, it is the provider whose API the server speaks: the conventions
    use the attribute to tell which provider's attributes to expect.
    """
    host = host.lower().rstrip(".")
    return next((name for end, name in _PROVIDERS if host.endswith(end)), _FLAVORS[dialect])


def prometheus_name(name: str, unit: Literal["s", "{token}"]) -> str:
    """Return *name* for Prometheus, without the `_total` of a counter.

    As OpenTelemetry's compatibility specification translates it: dots become underscores, seconds
    are added, and units in braces are not.
    """
    return name.replace(".", "_") + ("_seconds" if unit == "s" else "")
