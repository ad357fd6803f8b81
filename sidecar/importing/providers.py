"""Where LiteLLM's providers are, as far as they take OpenAI's API with a key.

Source: the table of providers in LiteLLM's documentation, and each provider's own page on OpenAI's
SDK. LiteLLM translates between APIs; what is here needs no translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Provider(NamedTuple):
    """One that takes OpenAI's API."""

    base: str
    """What stands before `/chat/completions`; empty: only a file can say it (`api_base`)."""
    key: str
    """The variable that LiteLLM takes its key from; empty: it needs none."""
    header: str = "authorization"
    path: str = ""
    """What is put behind the address that a file says."""


_LOCAL: Final = Provider("", "")

PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "azure": Provider("", "AZURE_API_KEY", "api-key", "/openai/v1"),
    "azure_ai": Provider("", "AZURE_AI_API_KEY", "api-key", "/openai/v1"),
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "gemini": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "cerebras": Provider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "cohere": Provider("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "cohere_chat": Provider("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "dashscope": Provider(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"
    ),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks_ai": Provider("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": Provider("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nvidia_nim": Provider("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": Provider("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "together_ai": Provider("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": Provider("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "ollama": Provider("http://localhost:11434/v1", "", path="/v1"),
    "ollama_chat": Provider("http://localhost:11434/v1", "", path="/v1"),
    "custom_openai": _LOCAL,
    "hosted_vllm": _LOCAL,
    "litellm_proxy": _LOCAL,
    "llamafile": _LOCAL,
    "lm_studio": _LOCAL,
    "openai_like": _LOCAL,
    "vllm": _LOCAL,
    "xinference": _LOCAL,
}
COMPATIBLE: Final[Mapping[str, str]] = {
    "anthropic": "Anthropic's own API has more than its compatible one: let callers that can use "
    "Anthropic's SDK, and give /v1/messages a route of its own",
}
"""What is to be known of providers whose compatible API is not their main one."""

_BY_PREFIX: Final = {
    "gpt-": "openai", "chatgpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai",
    "text-embedding-": "openai", "dall-e-": "openai", "whisper-": "openai", "tts-": "openai",
    "omni-moderation": "openai", "claude-": "anthropic",
}  # fmt: skip


def provider_of(model: str) -> tuple[str, str]:
    """Return the provider of LiteLLM's name *model*, "" if none is known, and its own name."""
    name, slash, rest = model.partition("/")
    if slash and name in PROVIDERS:
        return name, rest
    if not slash:
        for prefix, provider in _BY_PREFIX.items():
            if model.startswith(prefix):
                return provider, model
    return "", model
