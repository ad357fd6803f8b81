"""A server of OpenAI's Responses API that keeps what it made, and knows nothing of its like."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


class Keeper(ThreadingHTTPServer):
    """Serves a free port until `shutdown`. `misrouted`: ids that others made."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        self.kept: dict[str, dict[str, Any]] = {}
        self.misrouted: list[str] = []
        self.last: Message = Message()
        """Header fields of the last request."""
        self.cuts: Callable[[int], int | None] = lambda size: None
        """Where a stream of so many bytes breaks; None: nowhere."""
        self.streams = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Keeper

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self.server.last = self.headers
        return parsed

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        made = self._kept(path.split("/")[3])
        asked = dict(parse_qsl(query))
        if made is not None and asked.get("stream") == "true":
            self._streams(made, int(asked.get("starting_after", -1)))
        else:
            self._answers(made)

    def do_DELETE(self) -> None:
        name = self.path.split("/")[3]
        if self._answers(self._kept(name)):
            del self.server.kept[name]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        before = asked.get("previous_response_id")
        if before is not None and self._kept(before) is None:
            self._answers(None)
            return
        turns = 1 if before is None else int(self.server.kept[before]["metadata"]["turns"]) + 1
        made = _response(turns, before)
        self.server.kept[made["id"]] = made
        if not asked.get("stream"):
            self._answers(made)
            return
        made["background"] = bool(asked.get("background"))
        self._streams(made, -1)

    def _streams(self, made: dict[str, Any], after: int) -> None:
        """Send the events behind number *after*, until the stream breaks."""
        self.server.streams += 1
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        events = [
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            for event in _events(made)
        ][after + 1 :]
        left = self.server.cuts(sum(map(len, events)))
        for data in events:
            if left is not None:
                data, left = data[:left], left - len(data)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
            if left is not None and left <= 0:
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _kept(self, name: str) -> dict[str, Any] | None:
        found = self.server.kept.get(name)
        if found is None:
            self.server.misrouted.append(name)
        return found

    def _answers(self, value: dict[str, Any] | None) -> bool:
        error = {"error": {"message": "no such response", "type": "invalid_request_error"}}
        body = json.dumps(error if value is None else value).encode()
        self.send_response(404 if value is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return value is not None


def _response(turns: int, before: str | None) -> dict[str, Any]:
    content = {"type": "output_text", "text": f"turn {turns}", "annotations": []}
    message = {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "previous_response_id": before,
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {"turns": str(turns)},
    }


def _events(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    item = made["output"][0]
    begun = {**made, "status": "in_progress", "output": []}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    part = item["content"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": part["text"], "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": made},
    ]
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}
