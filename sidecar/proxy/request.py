"""What is asked of an upstream: the caller's request with what the layers changed in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sidecar.llm.prompt import Prompt
from sidecar.proxy.record import FIRST

if TYPE_CHECKING:
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.body.body import RequestBody

NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


class Request(msgspec.Struct, frozen=True):
    """Never changed: a layer that wants another hands `replace` of it to the layer inside.

    So two attempts side by side, or one after another, can't take each other's fields.
    """

    method: bytes
    target: bytes
    """In origin form, or `*`: the caller's, rewritten by the route."""
    body: RequestBody
    """The caller's: it is held, or it streams."""
    edits: Mapping[bytes, bytes] = NONE
    """By lower-case name of a header: the line that is sent instead of the caller's, after its
    CRLF; empty if none is."""
    content: bytes | None = None
    """The body that is sent instead of the caller's, without a content coding."""
    model: str | None = None
    """None: the body names none, or none that could be read."""
    stream: bool = False
    """Whether a stream is asked for."""
    captured: Mapping[str, str] = NONE
    """What the route's match captured, for URL templates."""
    timers: Timers | None = None
    """Instead of the policy's."""
    retries: int | None = None
    """How many, instead of what the policy says."""
    labels: Mapping[str, str] | None = None
    """What the endpoint must have besides the route's."""
    priority: int = 1
    """0 high, 1 normal, 2 low."""
    since: int = 0
    """How many of the call's attempts were made for other targets than this one."""
    why: str = FIRST
    """Why the next attempt is made: as `AttemptRecord.why`."""
    reason: str = ""
    """And what made it necessary: as `AttemptRecord.reason`."""
    holds_interims: bool = False
    """Whether 1xx replies wait: several attempts go on at once, and one of them is answered."""

    def __repr__(self) -> str:
        text = f"{self.method.decode('latin-1')} {self.target.decode('latin-1')[:80]}"
        return f"<Request {text} for {self.model or 'no model'}, {self.why}>"

    def replace(self, **changes: Any) -> Request:
        """The same with *changes*."""
        return msgspec.structs.replace(self, **changes)

    def edited(self, edits: Mapping[bytes, bytes]) -> Request:
        """The same with *edits*, which win over those before."""
        return self.replace(edits={**self.edits, **edits} if self.edits else edits)

    @property
    def prompt(self) -> Prompt:
        """What the model is asked, parsed when somebody first looks."""
        return self.body.prompt if self.content is None else Prompt(self.content)
