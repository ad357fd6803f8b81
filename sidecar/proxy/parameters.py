"""The parameters of a call's body, for its span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import APIS, READABLE

if TYPE_CHECKING:
    from sidecar.llm.dialects import Parameters
    from sidecar.proxy.call import Call

_LARGEST: Final = 2**20
"""Bytes of a body that is read. It takes 1 ms, in which the loop does nothing else."""


def parameters_of(call: Call) -> Parameters | None:
    """Read what the body of *call* asks for."""
    route = call.route
    if route is None or call.operation not in READABLE:
        return None
    body = body_of(call)
    return None if body is None else APIS[route.upstream.dialect].parameters(body)


def body_of(call: Call) -> bytes | None:
    """Return the body of *call*, if it was held whole and is not too large to be read."""
    body = call.body
    if not body.complete or body.streamed:
        return None
    if body.unpacked is None and b"content-encoding" in call.head.fields.known:
        return None
    if body.size + len(body.unpacked or b"") > _LARGEST:
        return None
    return body.plain()
