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
    """Read what the body of *call* asks for, if it was held whole and is not too large."""
    body, route = call.body, call.route
    if route is None or call.operation not in READABLE or not body.complete or body.streamed:
        return None
    if body.unpacked is None and b"content-encoding" in call.head.fields.known:
        return None
    if body.size + len(body.unpacked or b"") > _LARGEST:
        return None
    return APIS[route.upstream.dialect].parameters(body.plain())
