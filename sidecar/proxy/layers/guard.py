"""Ask another service whether a call may go upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from sidecar.errors import CallError, GuardAway, GuardRefused, forget_frames
from sidecar.proxy.detached import detach
from sidecar.proxy.sink import NullSink

if TYPE_CHECKING:
    from sidecar.http.message import Header, ResponseHead
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.request import Request

Away = Literal["allow", "refuse"]
_MOST: Final = 64 * 1024
"""Bytes of an answer that are read."""
_LONGEST: Final = 500
"""Characters of a reason that the caller is told."""
_EDITS: Final = {
    b"content-type": b"\r\nContent-Type: application/json",
    b"accept": b"\r\nAccept: application/json",
    b"accept-encoding": b"\r\nAccept-Encoding: identity",
}


class GuardSettings(NamedTuple):
    """Where to ask, and what its silence means."""

    path: str
    deadline: float
    """Seconds."""
    when_away: Away


class _Answer(msgspec.Struct):
    allow: bool
    reason: Any = None


_decode: Final = msgspec.json.Decoder(_Answer).decode
_encode: Final = msgspec.json.Encoder().encode


class Guard:
    """Asks *inner*, which leads to the guard's upstream, without the caller's keys."""

    def __init__(self, inner: Layer, settings: GuardSettings, stats: RouteStats) -> None:
        self._inner = inner
        self._settings = settings
        self._stats = stats

    async def ask(
        self, call: Call, request: Request, body: bytes, found: Mapping[str, int]
    ) -> None:
        """Ask about *body*, in which values were *found*. Raise GuardRefused or GuardAway."""
        answer = await self._answer(call, request, body, found)
        if answer is None:
            self._stats.redacted["guard_away"] += 1
            call.note("redact", f"the guard is away: {self._settings.when_away}")
            if self._settings.when_away == "refuse":
                raise GuardAway("the guard gave no answer in time, and calls need one")
        elif not answer.allow:
            self._stats.redacted["guard_refused"] += 1
            reason = answer.reason if isinstance(answer.reason, str) else "no reason is given"
            raise GuardRefused(f"the guard refuses the call: {reason[:_LONGEST]}")

    async def _answer(
        self, call: Call, request: Request, body: bytes, found: Mapping[str, int]
    ) -> _Answer | None:
        question = _encode({
            "request_id": call.request_id.decode("latin-1"),
            "route": "" if call.route is None else call.route.name,
            "path": request.target.partition(b"?")[0].decode("latin-1"),
            "model": request.model,
            "masked": found,
            "body": msgspec.Raw(body),
        })  # fmt: skip
        target = self._settings.path.encode()
        asked = request.replace(
            method=b"POST", target=target, content=question, edits=_EDITS, stream=False
        )
        copy, asked = detach(call, asked)
        sink = _Collected()
        reply = None
        try:
            async with asyncio.timeout(self._settings.deadline):
                reply = await self._inner(copy, asked)
                reply.write_into(sink)
                if not reply.ended:
                    await reply.finish()
            return _decode(bytes(sink.body)) if reply.head.status == 200 else None
        except (CallError, TimeoutError) as error:
            forget_frames(error)
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        finally:
            copy.body.free()
            if reply is not None:
                reply.abandon()


class _Collected(NullSink):
    """Keeps the beginning of a body."""

    def __init__(self) -> None:
        self.body = bytearray()

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Keep it."""
        self.write(data, ended, trailers)

    def write(self, data: list[bytes], ended: bool, trailers: Sequence[Header]) -> None:
        """Keep it."""
        for piece in data:
            self.body += piece[: _MOST - len(self.body)]
