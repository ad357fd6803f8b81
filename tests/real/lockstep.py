"""A stream whose server sends nothing more until its reader has the last event in hand.

So a proxy that holds events back, even one, brings the stream to a halt and the test to its end:
proof of streaming without a clock.
"""

from __future__ import annotations

import threading
from typing import Final

from scripted import WAIT, Exchange

EVENTS: Final = 6


class Lockstep:
    """An OpenAI chat stream of `EVENTS` tokens; call `got` for each that has arrived."""

    def __init__(self) -> None:
        self._arrived = threading.Semaphore(0)

    def got(self) -> None:
        """Let the server send the next event."""
        self._arrived.release()

    def await_got(self) -> None:
        """Wait for the reader; an AssertionError when it stays away."""
        assert self._arrived.acquire(timeout=WAIT), "what was sent did not arrive"

    def script(self, exchange: Exchange) -> None:
        """Play the server."""
        exchange.sse_head()
        for n in range(EVENTS):
            exchange.event(token(f"t{n} "))
            self.await_got()
        exchange.event("[DONE]")
        exchange.end()


TEXTS: Final = [f"t{n} " for n in range(EVENTS)]


def token(text: str) -> dict[str, object]:
    """One chunk of an OpenAI chat stream."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}],
    }


def completion(text: str) -> dict[str, object]:
    """An OpenAI chat completion."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
