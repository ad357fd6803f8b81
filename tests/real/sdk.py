"""The SDKs' clients as every test wants them: no retries that hide a fault, patience bounded."""

from __future__ import annotations

from typing import Any, Final

import anthropic
import openai
from google import genai
from google.genai.types import HttpOptions
from openai.types.chat import ChatCompletionUserMessageParam

KEY: Final = "test-key"
_OPTIONS: Final[dict[str, Any]] = {"api_key": KEY, "max_retries": 0, "timeout": 20.0}


def sync_openai(url: str, **options: Any) -> openai.OpenAI:
    """A client of the OpenAI API at base URL *url*."""
    return openai.OpenAI(base_url=url, **{**_OPTIONS, **options})


def async_openai(url: str, **options: Any) -> openai.AsyncOpenAI:
    """The same, for asyncio."""
    return openai.AsyncOpenAI(base_url=url, **{**_OPTIONS, **options})


def sync_anthropic(url: str, **options: Any) -> anthropic.Anthropic:
    """A client of the Anthropic API at base URL *url*."""
    return anthropic.Anthropic(base_url=url, **{**_OPTIONS, **options})


def async_anthropic(url: str, **options: Any) -> anthropic.AsyncAnthropic:
    """The same, for asyncio."""
    return anthropic.AsyncAnthropic(base_url=url, **{**_OPTIONS, **options})


def gemini(url: str) -> genai.Client:
    """A client of the Gemini API at base URL *url*. It never tries again by itself."""
    options = HttpOptions(base_url=url, timeout=20_000)
    return genai.Client(api_key=KEY, http_options=options)


def ask(text: str) -> list[ChatCompletionUserMessageParam]:
    """A conversation of one question."""
    return [{"role": "user", "content": text}]
