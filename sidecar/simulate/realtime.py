"""OpenAI's realtime API over a WebSocket, as far as text in and text out goes.

https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aiohttp import WSMsgType, web

from sidecar.simulate.answer import BadRequestError, decode, encode
from sidecar.simulate.endpoint import Endpoint
from sidecar.simulate.text import count_tokens, flatten, say


async def serve_realtime(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    """Hold a session: answer each `response.create` until the caller leaves."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    session = _Session(endpoint, socket, request.query.get("model"))
    await session.emit("session.created", session=session.description())
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await session.receive(message.data)
    return socket


class _Session:
    def __init__(
        self, endpoint: Endpoint, socket: web.WebSocketResponse, model: str | None
    ) -> None:
        self._endpoint = endpoint
        self._socket = socket
        self._model = model or endpoint.regime.behaviour.model
        self._heard = ""
        self._events = 0

    def description(self) -> dict[str, Any]:
        return {
            "id": "sess_simulated",
            "type": "realtime",
            "object": "realtime.session",
            "model": self._model,
            "output_modalities": ["text"],
        }

    async def emit(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": f"event_{self._events}", **fields}
        self._events += 1
        await self._socket.send_str(encode(event).decode())

    async def receive(self, text: str) -> None:
        try:
            event = decode(text.encode(), dict[str, Any])
            await self._react(event)
        except BadRequestError as error:
            detail = {"type": "invalid_request_error", "message": str(error), "code": None}
            await self.emit("error", error=detail | {"param": None, "event_id": None})

    async def _react(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "session.update"}:
                await self.emit("session.updated", session=self.description())
            case {"type": "conversation.item.create", "item": {"content": content, **rest}}:
                self._heard = flatten(content)
                item = {"id": f"item_{self._events}", **rest, "content": content}
                await self.emit("conversation.item.added", item=item)
                await self.emit("conversation.item.done", item=item)
            case {"type": "response.create"}:
                await self._respond()
            case _:
                raise BadRequestError(f"Unknown event {event.get('type')!r}")

    async def _respond(self) -> None:
        endpoint, regime = self._endpoint, self._endpoint.regime
        # Latency, speed and slots are those of every call; faults are staged for HTTP alone.
        plan = replace(regime.draw(), fault="")
        words = say(self._heard, regime.behaviour.tokens)
        prompt_tokens = count_tokens(self._heard)
        response = _Response(self._events, words, prompt_tokens)
        async with endpoint.accounted(plan), endpoint.working(regime, plan):
            endpoint.counters.prompt_tokens += prompt_tokens
            for kind, fields in response.opening():
                await self.emit(kind, **fields)
            pace = endpoint.pace(plan, regime)
            for word in words:
                await pace.wait()
                await self.emit("response.output_text.delta", **response.where(), delta=word)
                endpoint.count_token()
            for kind, fields in response.closing():
                await self.emit(kind, **fields)
            endpoint.counters.completed += 1


class _Response:
    """The events of one response, in order, but for its deltas."""

    def __init__(self, number: int, words: list[str], prompt_tokens: int) -> None:
        self._id, self._item_id = f"resp_{number}", f"item_{number}"
        self._text = "".join(words)
        self._usage = {
            "input_tokens": prompt_tokens,
            "output_tokens": len(words),
            "total_tokens": prompt_tokens + len(words),
        }

    def opening(self) -> Iterator[tuple[str, dict[str, Any]]]:
        state = {"id": self._id, "object": "realtime.response", "status": "in_progress"}
        yield "response.created", {"response": state | {"output": [], "usage": None}}
        yield "response.output_item.added", self._item("in_progress", [])
        yield "response.content_part.added", self._part("")

    def closing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        done = self._item("completed", [{"type": "output_text", "text": self._text}])
        yield "response.output_text.done", self.where() | {"text": self._text}
        yield "response.content_part.done", self._part(self._text)
        yield "response.output_item.done", done
        state = {"id": self._id, "object": "realtime.response", "status": "completed"}
        yield (
            "response.done",
            {"response": state | {"output": [done["item"]], "usage": self._usage}},
        )

    def where(self) -> dict[str, Any]:
        ids = {"response_id": self._id, "item_id": self._item_id}
        return ids | {"output_index": 0, "content_index": 0}

    def _part(self, text: str) -> dict[str, Any]:
        return self.where() | {"part": {"type": "text", "text": text}}

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        item = {"id": self._item_id, "type": "message", "role": "assistant"}
        item |= {"object": "realtime.item", "status": status}
        return {
            "response_id": self._id,
            "output_index": 0,
            "item": item | {"content": content},
        }
