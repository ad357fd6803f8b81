"""Answers as OpenAI's Responses.

Source: openai-python 3.57 (`types/responses/response.py`, `response_stream_event.py`).
"""

from __future__ import annotations

from typing import Any, Final

from sidecar.llm.answers.base import EVENTS, Answer, encode, named

_STATUSES: Final = {"stop": "completed", "length": "incomplete"}


class ResponseWriter:
    """Writes responses."""

    stream_type = EVENTS

    def whole(self, answer: Answer) -> bytes:
        """Return a `response`."""
        return encode(_final(answer))

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return its events, in the order in which a generation has them."""
        started, final = _response(answer, "in_progress"), _final(answer)
        status = final["status"]
        where = {"item_id": f"msg_{answer.id}", "output_index": 0, "content_index": 0}
        text = {"text": answer.text, "logprobs": []}
        delta = {"delta": answer.text, "logprobs": []}
        bodies: list[dict[str, Any]] = [
            {"type": "response.created", "response": started},
            {"type": "response.in_progress", "response": started},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": _item(answer, "in_progress", []),
            },
            {"type": "response.content_part.added", **where, "part": _part("")},
            {"type": "response.output_text.delta", **where, **delta},
            {"type": "response.output_text.done", **where, **text},
            {"type": "response.content_part.done", **where, "part": _part(answer.text)},
            {"type": "response.output_item.done", "output_index": 0, "item": final["output"][0]},
            {"type": f"response.{status}", "response": final},
        ]
        return named(body | {"sequence_number": number} for number, body in enumerate(bodies))


def _final(answer: Answer) -> dict[str, Any]:
    status = _STATUSES[answer.finish]
    usage = answer.usage
    limited = {"reason": "max_output_tokens"} if answer.finish == "length" else None
    return _response(answer, status) | {
        "incomplete_details": limited,
        "output": [_item(answer, status, [_part(answer.text)])],
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {
                "cached_tokens": usage.cached,
                "cache_write_tokens": usage.cache_write,
            },
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
    }


def _response(answer: Answer, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def _item(answer: Answer, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
