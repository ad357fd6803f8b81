"""Let in the calls of known callers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import Limited, Unauthorized

if TYPE_CHECKING:
    from sidecar.proxy.call import Call

_HEADERS: Final = (b"x-sidecar-key", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Where keys come: ours first, for callers that also send a provider's; then those of SDKs."""
_BEARER: Final = b"bearer "


def admit(call: Call) -> None:
    """Find out who calls, if the listener wants to know, and which header must not go upstream.

    Raise Unauthorized; Limited where the address has failed too often.
    """
    access = call.downstream.access
    if access is None:  # nearly always
        return
    reason = "missing"
    for name in _HEADERS:
        value = call.head.fields.get(name)
        if value is None:
            continue
        reason = "wrong"
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            value = value[len(_BEARER) :].strip()
        caller = access.caller(value)
        if caller is not None:
            call.caller, call.local_key = caller, name
            return
    wait = access.failed(call.downstream.peer, time.monotonic())
    call.downstream.denied("limited" if wait else reason)
    if wait:
        raise Limited(
            "too many calls without a valid key come from this address",
            retry_after=wait,
            code="access_limited",
        )
    raise Unauthorized(f"the call's key is {reason}: this listener serves known callers only")
