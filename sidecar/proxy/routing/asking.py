"""Read from the body what a call asks for: the model, for routes and aliases.

A body that can't be read is passed on if nothing depends on the model. If a route or an alias does,
an unknown model must not count as "another model", because the prompt would go to a server that it
was not meant for. Such a call is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import ModelUnknown, forget_frames
from sidecar.llm.coding import is_identity
from sidecar.llm.request import glance, read, worth_a_glance
from sidecar.proxy.body.decompress import decompress

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.routing.router import Candidate


def depends(candidates: tuple[Candidate, ...]) -> bool:
    """Whether one of *candidates* depends on the model."""
    return True in [candidate.depends for candidate in candidates]


async def unpack(call: Call, most: int) -> None:
    """Decompress a complete body, to at most *most* bytes."""
    coding = call.head.fields[b"content-encoding"]
    if call.body.complete and not is_identity(coding):
        try:
            await decompress(call.body, coding, most)
        except ModelUnknown as error:
            _give_up(call, error)


def learn(call: Call, candidates: tuple[Candidate, ...]) -> None:
    """Set what *call* asks for, or why it is unknown to *candidates* that depend on it."""
    body = call.body
    if not body.complete:
        if not call.head.upgrade and depends(candidates):
            _give_up(call, ModelUnknown("the body is longer than `hold`", status=413))
    elif body.size and call.unreadable is None:
        content = body.plain()
        content_type = call.head.fields.known.get(b"content-type", b"")
        if depends(candidates):
            _read(call, content, content_type)
        elif worth_a_glance(content, content_type):
            call.model, call.stream = glance(content)


def _read(call: Call, content: bytes, content_type: bytes) -> None:
    try:
        call.asked = asked = read(content, content_type)
    except ModelUnknown as error:
        _give_up(call, error)
    else:
        call.model, call.stream, call.unknown = asked.model, asked.stream, asked.doubt


def _give_up(call: Call, why: ModelUnknown) -> None:
    forget_frames(why)
    call.unknown = call.unreadable = why
