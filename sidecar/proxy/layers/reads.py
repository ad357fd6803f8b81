"""Have replies read: say so in the request, and see to it that they can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.llm.dialects import JSON_VALUES, READABLE
from sidecar.llm.hide_usage import UsageHider
from sidecar.llm.include_usage import insert_include_usage
from sidecar.policy.memo import Memo
from sidecar.proxy.exchange.reading import ReplyReader
from sidecar.proxy.reply import transformed

if TYPE_CHECKING:
    from sidecar.llm.dialects import Api
    from sidecar.policy.gate import GateSettings
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_ACCEPT: Final = b"accept-encoding"
_OURS: Final = (b"gzip", b"deflate", b"identity", b"x-gzip")
_ASKED: Final = frozenset({"chat", "completions"})
"""Operations of OpenAI's API whose streams tell their usage only if asked to."""


class _Known(NamedTuple):
    reader: ReplyReader | None
    operation: str
    model: str | None
    """The model, if the path names it: Gemini's and Azure's do."""


class Reads:
    """Outside all attempts of one upstream. *gate* holds streams back; None: nothing is held."""

    def __init__(
        self,
        inner: Layer,
        api: Api,
        gate: GateSettings | None,
        *,
        verifies: bool,
        include_usage: bool,
    ) -> None:
        """*verifies*: a reply that is a value must be JSON.

        *include_usage*: the upstream takes `stream_options.include_usage`.
        """
        self._inner = inner
        self._api = api
        self._gate = gate
        self._verifies = verifies
        self._include_usage = include_usage
        self._operations: Memo[tuple[bytes, bytes], _Known] = Memo()
        self._codings: Memo[bytes, bytes | None] = Memo()

    def __repr__(self) -> str:
        return f"<Reads {type(self._api).__name__}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Have the reply read, if the call asks a model."""
        known = self._operation(request)
        call.operation = known.operation
        if call.model is None:
            call.model = known.model
        if known.reader is None or call.head.upgrade:
            return await self._inner(call, request)
        hides = False
        changes: dict[str, object] = {"reading": known.reader}
        if self._include_usage and request.stream and known.operation in _ASKED:
            content = self._with_usage(call, request)
            if content is not None:
                hides = True
                changes["content"] = content
                call.body.count_copies(len(content))
        offered = call.head.fields.known.get(_ACCEPT)
        if hides:  # what is hidden must be found in it
            changes["edits"] = {**request.edits, _ACCEPT: b"\r\nAccept-Encoding: identity"}
        elif (
            offered is not None
            and _ACCEPT not in request.edits
            and (line := self._readable(offered)) is not None
        ):
            changes["edits"] = {**request.edits, _ACCEPT: line}
        reply = await self._inner(call, request.replace(**changes))
        return transformed(reply, HideUsage()) if hides else reply

    def _operation(self, request: Request) -> _Known:
        """What is asked for. Callers ask for the same few: remembered."""
        path = request.target.partition(b"?")[0]
        key = (request.method, path)
        known = self._operations.get(key)
        if known is None:
            found = self._api.target(request.method, path.decode("latin-1"))
            reader = None
            if found.operation in READABLE:
                reader = ReplyReader(
                    self._api,
                    self._gate,
                    streams=found.stream,
                    verifies=self._verifies and found.operation in JSON_VALUES,
                )
            known = self._operations.keep(key, _Known(reader, found.operation, found.model))
        return known

    def _with_usage(self, call: Call, request: Request) -> bytes | None:
        """The body that asks for the usage too; None where the caller asked, or it can't be."""
        if not call.body.complete or call.body.streamed:
            return None
        body = request.content
        if body is None:
            if call.body.unpacked is None and b"content-encoding" in call.head.fields.known:
                return None
            body = call.body.plain()
        return insert_include_usage(body)

    def _readable(self, offered: bytes) -> bytes | None:
        """The line that offers only codings which we can read; None where it does already."""
        if offered in self._codings:
            return self._codings[offered]
        codings = [coding.strip() for coding in offered.lower().split(b",")]
        kept = [coding for coding in codings if coding.partition(b";")[0].strip() in _OURS]
        line = None
        if len(kept) != len(codings):
            line = b"\r\nAccept-Encoding: " + (b", ".join(kept) or b"identity")
        return self._codings.keep(offered, line)


class HideUsage:
    """Takes the event out of a stream that is there only because we asked for the usage."""

    def __init__(self) -> None:
        self._hider = UsageHider()
        self.feed = self._hider.feed
        self.end = self._hider.finish
