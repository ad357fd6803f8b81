"""Mask secrets and personal data in what one upstream is asked, and restore them in its reply."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sidecar.errors import ModelUnknown, NotRedacted, SensitiveContent
from sidecar.llm.redact.events import EventRestorer
from sidecar.llm.redact.mask import mask
from sidecar.llm.redact.restore import PlainRestorer, Restorer
from sidecar.llm.redact.values import TooMany, Values, marks
from sidecar.llm.request import worth_a_glance
from sidecar.llm.splice import UNREADABLE, Body
from sidecar.proxy.layers.readable import plain_body, tell
from sidecar.proxy.reply import transformed

if TYPE_CHECKING:
    from sidecar.llm.redact.rules import Finder
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.guard import Guard
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

Action = Literal["mask", "refuse"]
_HEADER: Final = b"x-sidecar-redacted"
_PLAIN: Final = {b"accept-encoding": b"\r\nAccept-Encoding: identity"}
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_SPELT: Final = (b"\\u005b", b"\\u005B")
"""Escapes that could spell the beginning of a placeholder."""
_STORED: Final = (b'"previous_response_id"', b'"conversation"')
"""Members by which a call continues what the provider has stored, with placeholders in it."""
_NO_TEXT: Final = (b"multipart/", b"audio/", b"image/", b"video/", b"application/octet-stream")


class RedactSettings(NamedTuple):
    """What is looked for, and what becomes of it."""

    find: Finder
    action: Action


class Redact:
    """Outside all attempts at one upstream, so that all of them send the same.

    It fails closed: what can't be looked at is refused. The values live as long as their call.
    """

    def __init__(
        self,
        inner: Layer,
        settings: RedactSettings,
        hold: int,
        guard: Guard | None,
        stats: RouteStats,
    ) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._inner = inner
        self._settings = settings
        self._marks = marks(settings.find.kinds)
        self._hold = hold
        self._guard = guard
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Redact, {self._settings.action}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Ask with placeholders. Raise NotRedacted, SensitiveContent, GuardRefused or GuardAway."""
        tell(call, _HEADER, b"")  # what an earlier target told
        if call.head.upgrade:
            raise self._unread("a connection that changes its protocol can't be redacted")
        if request.content is None and call.body.complete and not call.body.size:
            return await self._inner(call, request)
        content = await self._content(call, request)
        if content is None:
            return await self._inner(call, request)
        values, masked = await self._masked(content)
        for kind, count in values.kinds.items():
            self._stats.redacted[kind] += count
        if values.kinds and self._settings.action == "refuse":
            self._stats.redacted["refused"] += 1
            raise SensitiveContent(f"the prompt has what must not leave: {_counts(values)}")
        if values.kinds:
            tell(call, _HEADER, _counts(values).encode())
            call.note("redact", f"masked {_counts(values)}")
            call.body.count_copies(len(masked))
            request = request.replace(content=masked).edited(_PLAIN)
        if self._guard is not None:
            await self._guard.ask(call, request, masked, values.kinds)
        reply = await self._inner(call, request)
        return self._restored(reply, values) if values.kinds else reply

    async def _content(self, call: Call, request: Request) -> bytes | None:
        """Return the JSON to look at; None if the body is none."""
        kind = call.head.fields.known.get(b"content-type", b"").lower()
        try:
            content = await plain_body(call, request, self._hold)
        except ModelUnknown:
            raise self._unread("the body can't be decompressed, and so not be redacted") from None
        if content is None:
            if kind.startswith(_NO_TEXT):
                return None
            self._stats.redacted["unread"] += 1
            raise NotRedacted("the body is longer than `hold`, and can't be redacted", status=413)
        return content if worth_a_glance(content, kind) else None

    async def _masked(self, content: bytes) -> tuple[Values, bytes]:
        try:
            body = Body(content)
            values = Values(self._settings.find, self._label(body.text))
            for _ in mask(body, values):
                await asyncio.sleep(0)
        except UNREADABLE:
            raise self._unread("the body is no JSON object, and can't be redacted") from None
        except TooMany:
            raise self._unread("the prompt has more than 10,000 values to mask") from None
        return values, body.encoded() if values.kinds else content

    def _label(self, text: bytes) -> str:
        """Return what sets the placeholders apart from any that the model may already know."""
        known = any(mark in text for mark in (*self._marks, *_SPELT, *_STORED))
        label = ""
        while known:
            label = "".join(random.choices(_LETTERS, k=4))
            known = label.encode() in text
        return label

    def _restored(self, reply: Reply, values: Values) -> Reply:
        fields = reply.head.fields.known
        if reply.head.body and b"content-encoding" in fields:  # although we asked for none
            self._stats.redacted["unrestored"] += 1
        kind = fields.get(b"content-type", b"").lower()
        if b"event-stream" in kind:
            return transformed(reply, EventRestorer(values))
        if b"json" in kind:
            return transformed(reply, Restorer(values))
        return transformed(reply, PlainRestorer(values)) if kind.startswith(b"text/") else reply

    def _unread(self, why: str) -> NotRedacted:
        self._stats.redacted["unread"] += 1
        return NotRedacted(why)


def _counts(values: Values) -> str:
    return ", ".join(f"{kind}={count}" for kind, count in sorted(values.kinds.items()))
