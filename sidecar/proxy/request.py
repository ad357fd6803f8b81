"""What is sent to an upstream: the caller's request with the changes of the layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sidecar.llm.prompt import Prompt
from sidecar.proxy.record import FIRST

if TYPE_CHECKING:
    from sidecar.policy.homes import Stays
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.body.body import RequestBody
    from sidecar.proxy.exchange.reading import ReplyReader

NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


class Request(msgspec.Struct, frozen=True):
    """Immutable: to change it, a layer passes a `replace` of it to the layer inside.

    So attempts, side by side or one after another, can't overwrite each other's fields.
    """

    method: bytes
    target: bytes
    """In origin form, or `*`: the caller's target, rewritten by the route."""
    body: RequestBody
    """The caller's body, buffered or streaming."""
    edits: Mapping[bytes, bytes] = NONE
    """By lower-case header name: the line, after its CRLF, that replaces the caller's; an empty
    one removes it."""
    content: bytes | None = None
    """The body that replaces the caller's, without a content coding."""
    model: str | None = None
    """None: the body names no model, or none that can be read."""
    stream: bool = False
    """Whether the request asks for a stream."""
    captured: Mapping[str, str] = NONE
    """What the route's match captured, for URL templates."""
    timers: Timers | None = None
    """Timers that replace the policy's."""
    retries: int | None = None
    """Number of retries that replaces the policy's."""
    labels: Mapping[str, str] | None = None
    """Labels that the endpoint must have besides the route's."""
    priority: int = 1
    """0 high, 1 normal, 2 low."""
    since: int = 0
    """Number of the call's attempts that were made for earlier targets."""
    why: str = FIRST
    """`why` of the next attempt's record."""
    reason: str = ""
    """`reason` of the next attempt's record."""
    reading: ReplyReader | None = None
    """Reads what the reply says; None: it is not read."""
    key: bytes | None = None
    """What it has in common with the same calls; None: nobody asked, or it is like no other."""
    anew: bool = False
    """Whether a reply that was kept won't do."""
    cache_key: bytes | None = None
    """The key of its prompt's cache, where the route gives hints; None: it has none."""
    home: Stays | None = None
    """What it asks for that only one endpoint has; None: any endpoint can take it."""
    holds_interims: bool = False
    """Whether 1xx replies wait, because a hedge may answer instead of this attempt."""
    begins: Callable[[], None] | None = None
    """Is called when the attempt has its turn at a quota, where there is one."""

    def __repr__(self) -> str:
        text = f"{self.method.decode('latin-1')} {self.target.decode('latin-1')[:80]}"
        return f"<Request {text} for {self.model or 'no model'}, {self.why}>"

    def replace(self, **changes: Any) -> Request:
        """Return a copy with *changes*."""
        return msgspec.structs.replace(self, **changes)

    def edited(self, edits: Mapping[bytes, bytes]) -> Request:
        """Return a copy with *edits*, which override earlier ones."""
        return self.replace(edits={**self.edits, **edits} if self.edits else edits)

    @property
    def prompt(self) -> Prompt:
        """The prompt, parsed on first use."""
        return self.body.prompt if self.content is None else Prompt(self.content)
