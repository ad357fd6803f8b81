"""OpenAI's responses (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from sidecar.simulate.answer import BadRequestError, Message, Stream, Whole, decode, encode, event
from sidecar.simulate.chat import Limit
from sidecar.simulate.text import CREATED, count_tokens, flatten, identify, say


class Item(Message):
    """A turn, or another kind of item, which has no role."""

    role: str = ""


class ResponsesRequest(Struct):
    """The fields that change a simulated reply."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Limit = None


def answer_responses(raw: bytes, default_tokens: int) -> Whole | Stream:
    """The reply to `POST /v1/responses`."""
    request = decode(raw, ResponsesRequest)
    reply = _Reply(request, raw, default_tokens)
    if request.stream:
        return reply.stream()
    return Whole(encode(reply.final()), reply.prompt_tokens, len(reply.words))


class _Reply:
    def __init__(self, request: ResponsesRequest, raw: bytes, default_tokens: int) -> None:
        turns = _turns(request)
        self.request = request
        self.prompt_tokens = count_tokens(" ".join([request.instructions or "", *turns]))
        self.words = say(turns[-1], request.max_output_tokens or default_tokens)
        self.text = "".join(self.words)
        self.id = identify(raw, "resp_")
        self.item_id = identify(raw, "msg_")
        self.sequence = 0

    def final(self) -> dict[str, Any]:
        """The response object when generation has ended; a limit that was reached is no success."""
        limited = self.request.max_output_tokens is not None
        return self.response("incomplete" if limited else "completed") | {
            "incomplete_details": {"reason": "max_output_tokens"} if limited else None,
            "output": [self.item("incomplete" if limited else "completed", [self.part(self.text)])],
            "usage": {
                "input_tokens": self.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": len(self.words),
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.prompt_tokens + len(self.words),
            },
        }

    def response(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": self.request.instructions,
            "max_output_tokens": self.request.max_output_tokens,
            "model": self.request.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "metadata": {},
        }

    def item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.item_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def stream(self) -> Stream:
        return Stream(
            self.opening(), self.deltas(), self.closing(), self.prompt_tokens, len(self.words)
        )

    def opening(self) -> bytes:
        started = self.response("in_progress")
        return b"".join(
            (
                self.event("response.created", response=started),
                self.event("response.in_progress", response=started),
                self.event(
                    "response.output_item.added", output_index=0, item=self.item("in_progress", [])
                ),
                self.event("response.content_part.added", **self.where(), part=self.part("")),
            )
        )

    def deltas(self) -> Iterator[bytes]:
        # The closing has its numbers already: deltas count on from where the opening ended.
        for number, word in enumerate(self.words, start=4):
            yield event(
                {"type": "response.output_text.delta", "sequence_number": number}
                | {**self.where(), "delta": word, "logprobs": []}
            )

    def closing(self) -> bytes:
        self.sequence += len(self.words)
        final = self.final()
        return b"".join(
            (
                self.event(
                    "response.output_text.done", **self.where(), text=self.text, logprobs=[]
                ),
                self.event("response.content_part.done", **self.where(), part=self.part(self.text)),
                self.event("response.output_item.done", output_index=0, item=final["output"][0]),
                self.event(f"response.{final['status']}", response=final),
            )
        )

    def where(self) -> dict[str, Any]:
        return {"item_id": self.item_id, "output_index": 0, "content_index": 0}

    def event(self, kind: str, **fields: Any) -> bytes:
        number = self.sequence
        self.sequence += 1
        return event({"type": kind, "sequence_number": number, **fields})


def _turns(request: ResponsesRequest) -> list[str]:
    if isinstance(request.input, str):
        return [request.input]
    if not request.input:
        raise BadRequestError("Invalid request body: `input` is empty")
    return [flatten(item.content) for item in request.input]
