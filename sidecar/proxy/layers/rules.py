"""Answer some messages, or refuse them, without a model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import ModelUnknown, RuleRefused, forget_frames
from sidecar.llm.answers import Answer, writer_for
from sidecar.llm.dialects import APIS
from sidecar.llm.last_message import last_message
from sidecar.policy.memo import Memo
from sidecar.proxy.layers.readable import plain_body, tell
from sidecar.proxy.local import LocalReply

if TYPE_CHECKING:
    from sidecar.llm.answers import Writer
    from sidecar.llm.dialects import Dialect, Target
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.rules import Rules as Policy
    from sidecar.policy.rules import Verdict
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class _Known(NamedTuple):
    target: Target
    writer: Writer | None


class Rules:
    """Outside everything that reaches an upstream, and inside the limits on calls."""

    def __init__(
        self, inner: Layer, policy: Policy, dialect: Dialect, hold: int, stats: RouteStats
    ) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._inner = inner
        self._hold = hold
        self._policy = policy
        self._dialect: Dialect = dialect
        self._stats = stats
        self._operations: Memo[bytes, _Known] = Memo()

    def __repr__(self) -> str:
        return f"<{self._policy!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the answer of the first rule that matches. Raise RuleRefused if it refuses."""
        known = self._operation(request.target)
        if known.writer is not None and request.method == b"POST":
            body = await self._read(call, request)
            message = last_message(body)
            if message is not None:
                verdict = self._policy.judge(message.text, message.only_text)
                if verdict is not None:
                    self._stats.rules[verdict.rule] += 1
                    call.operation = known.target.operation
                    return self._reply(call, request, body, verdict, known)
        return await self._inner(call, request)

    async def _read(self, call: Call, request: Request) -> bytes:
        """Return the body that would be sent; empty if it streams, or can't be decompressed."""
        try:
            return await plain_body(call, request, self._hold) or b""
        except ModelUnknown as error:
            forget_frames(error)
            return b""

    def _operation(self, target: bytes) -> _Known:
        known = self._operations.get(target)
        if known is None:
            text = target.decode("latin-1")
            found = APIS[self._dialect].target(b"POST", text)
            writer = writer_for(self._dialect, found, text)
            known = self._operations.keep(target, _Known(found, writer))
        return known

    def _reply(
        self, call: Call, request: Request, body: bytes, verdict: Verdict, known: _Known
    ) -> Reply:
        tell(call, b"x-sidecar-rule", verdict.rule.encode())
        done = "answers" if verdict.refusal is None else "refuses"
        call.note("rule", f"{verdict.rule} {done} without a model")
        if verdict.refusal is not None:
            error = RuleRefused(verdict.refusal.message)
            error.status = verdict.refusal.status
            raise error
        target, writer = known
        assert writer is not None
        answer = Answer(
            verdict.answer or "",
            request.model or target.model or "",
            call.trace.trace_id.decode(),
            int(time.time()),
            include_usage=APIS[self._dialect].parameters(body).include_usage,
        )
        stream = request.stream or target.stream
        kind = writer.stream_type if stream else b"application/json"
        sent = b"".join(writer.stream(answer)) if stream else writer.whole(answer)
        return LocalReply(call, 200, b"\r\nContent-Type: " + kind, sent)
