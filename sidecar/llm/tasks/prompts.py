"""The request of a task, in each dialect that can chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.llm.dialects.base import Dialect
from sidecar.llm.tasks.asked import Asked
from sidecar.llm.tasks.task import Choice

_encode: Final = msgspec.json.Encoder().encode
PATHS: Final[Mapping[Dialect, str]] = {
    "openai": "/v1/chat/completions",
    "mistral": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
    "cohere": "/v2/chat",
}
"""Where each dialect chats."""
_VERSION: Final = b"\r\nanthropic-version: 2023-06-01"


class Turn(NamedTuple):
    """One message of a conversation."""

    role: str
    """`user` or `assistant`."""
    text: str


def conversation(asked: Asked) -> tuple[str | None, Turn]:
    """Return the system prompt, if there is one, and the user's message."""
    task = asked.task
    values = {"content": asked.content, **asked.inputs}
    system = None if task.system is None else task.system.fill(values)
    told = asked.format.instruction
    if told:
        system = told if system is None else f"{system}\n\n{told}"
    return system, Turn("user", task.user.fill(values))


def mended(turn: Turn, answer: str, wrong: str) -> tuple[Turn, ...]:
    """Return the conversation in which an *answer* that is *wrong* is asked for once more."""
    again = f"That can't be used: {wrong}. Answer again, in the format that was asked for, and with"
    return turn, Turn("assistant", answer), Turn("user", f"{again} nothing else.")


def request_body(
    asked: Asked, choice: Choice, system: str | None, turns: tuple[Turn, ...]
) -> bytes:
    """Return the body of the request, in the dialect of *choice*."""
    return _encode(_WRITERS[choice.dialect](asked, choice, system, turns))


def target(choice: Choice, stream: bool) -> bytes:
    """Return the path, and the query, where it is asked."""
    path = choice.path
    if choice.dialect == "gemini" and stream:
        before, found, _ = path.rpartition(":generateContent")
        path = f"{before}:streamGenerateContent?alt=sse" if found else path
    return path.encode()


def lines(dialect: Dialect, known: bool) -> Mapping[bytes, bytes]:
    """Return header lines that the API demands. *known*: the caller names the API's version."""
    return {} if known or dialect != "anthropic" else {b"anthropic-version": _VERSION}


def _messages(system: str | None, turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return [*first, *({"role": turn.role, "content": turn.text} for turn in turns)]


def _openai(asked: Asked, choice: Choice, system: str | None, turns: Any) -> dict[str, Any]:
    field = "max_tokens" if choice.dialect == "mistral" else asked.task.chat_field
    body = _chat(asked, choice, _messages(system, turns), field)
    if asked.stream and choice.include_usage:
        body["stream_options"] = {"include_usage": True}
    return body


def _cohere(asked: Asked, choice: Choice, system: str | None, turns: Any) -> dict[str, Any]:
    return _chat(asked, choice, _messages(system, turns), "max_tokens")


def _anthropic(asked: Asked, choice: Choice, system: str | None, turns: Any) -> dict[str, Any]:
    body = _chat(asked, choice, _messages(None, turns), "max_tokens")
    return body if system is None else {**body, "system": system}


def _chat(
    asked: Asked, choice: Choice, messages: list[dict[str, Any]], field: str
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": choice.model, "messages": messages, field: asked.max_tokens}
    if asked.task.temperature is not None:
        body["temperature"] = asked.task.temperature
    if asked.stream:
        body["stream"] = True
    return body


def _gemini(asked: Asked, _: Choice, system: str | None, turns: Any) -> dict[str, Any]:
    roles = {"user": "user", "assistant": "model"}
    config: dict[str, Any] = {"maxOutputTokens": asked.max_tokens}
    if asked.task.temperature is not None:
        config["temperature"] = asked.task.temperature
    contents = [{"role": roles[turn.role], "parts": [{"text": turn.text}]} for turn in turns]
    body: dict[str, Any] = {"contents": contents, "generationConfig": config}
    return body if system is None else {**body, "systemInstruction": {"parts": [{"text": system}]}}


_WRITERS: Final = {
    "openai": _openai,
    "mistral": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "cohere": _cohere,
}
