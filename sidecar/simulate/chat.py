"""OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from sidecar.simulate.answer import Message, Stream, Whole, data, decode, encode, prompt_of
from sidecar.simulate.text import CREATED, count_tokens, flatten, identify, say

Limit = Annotated[int, Meta(ge=1)] | None


class StreamOptions(Struct):
    """Extras of a stream."""

    include_usage: bool | None = None


class ChatRequest(Struct):
    """The fields that change a simulated reply."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit = None
    max_completion_tokens: Limit = None


def answer_chat(raw: bytes, default_tokens: int) -> Whole | Stream:
    """The reply to `POST /v1/chat/completions`."""
    request = decode(raw, ChatRequest)
    limit = request.max_completion_tokens or request.max_tokens
    words = say(flatten(request.messages[-1].content), limit or default_tokens)
    prompt_tokens = count_tokens(prompt_of(request.messages))
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(words),
        "total_tokens": prompt_tokens + len(words),
    }
    reply = _Reply(request, raw, words, "length" if limit else "stop", usage)
    if request.stream:
        return reply.stream()
    return Whole(encode(reply.whole()), prompt_tokens, len(words))


class _Reply:
    def __init__(
        self,
        request: ChatRequest,
        raw: bytes,
        words: list[str],
        finish: str,
        usage: dict[str, int],
    ) -> None:
        self.words, self.finish, self.usage = words, finish, usage
        options = request.stream_options
        self.include_usage = bool(options and options.include_usage)
        self.common = {
            "id": identify(raw, "chatcmpl-"),
            "created": CREATED,
            "model": request.model,
            "system_fingerprint": "fp_simulated",
        }

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        return {
            **self.common,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self.usage,
        }

    def stream(self) -> Stream:
        closing = self.chunk({}, self.finish)
        if self.include_usage:
            closing += self.event([], self.usage)
        return Stream(
            self.chunk({"role": "assistant", "content": "", "refusal": None}),
            (self.chunk({"content": word}) for word in self.words),
            closing + b"data: [DONE]\n\n",
            self.usage["prompt_tokens"],
            len(self.words),
        )

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self.event([choice], None)

    def event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
        body = {**self.common, "object": "chat.completion.chunk", "choices": choices}
        # With include_usage every chunk has the field, and only the last has figures in it.
        return data(body | {"usage": usage} if self.include_usage else body)
