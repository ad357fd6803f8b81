"""Let in the calls of known callers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import Limited, NotAllowed, Unauthorized

if TYPE_CHECKING:
    from sidecar.policy.access import Access
    from sidecar.proxy.call import Call

_HEADERS: Final = (b"x-sidecar-key", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Where keys come: ours first, for callers that also send a provider's; then those of SDKs."""
_BEARER: Final = b"bearer "


def admit(call: Call) -> None:
    """Find out who calls, if the listener wants to know, and which header must not go upstream.

    Raise Unauthorized or NotAllowed; Limited where the address has failed too often.
    """
    access = call.downstream.access
    if access is not None:  # hardly ever
        _admit(call, access)


def _admit(call: Call, access: Access) -> None:
    from sidecar.policy.client_certificates import Denied  # only who asks for callers pays for it

    try:
        call.caller, call.local_key = _known(call, access)
    except Denied as denied:
        wait = access.failed(call.downstream.peer, time.monotonic())
        call.downstream.denied("limited" if wait else denied.reason)
        if wait:
            raise Limited(
                "too many calls that may not be served come from this address",
                retry_after=wait,
                code="access_limited",
            ) from None
        text = f"this listener serves known callers only: {denied}"
        if denied.known:
            raise NotAllowed(text) from None
        raise Unauthorized(text) from None


def _known(call: Call, access: Access) -> tuple[str, bytes]:
    """Return who calls, and the header that says so; none for a certificate. Raise Denied.

    A key says more of the call than the connection's certificate does.
    """
    from sidecar.policy.client_certificates import Denied

    shown = False
    for name in _HEADERS:
        value = call.head.fields.get(name)
        if value is None:
            continue
        shown = True
        caller = access.caller(_bare(name, value))
        if caller is not None:
            return caller, name
    certificate = call.downstream.certificate
    if access.certificates is not None and certificate is not None:
        return access.certificates.caller(certificate, time.time()), b""
    if access.certificates is not None and not access.keys:
        raise Denied("missing", "the call comes without a client certificate")
    if shown:
        raise Denied("wrong", "the call's key is wrong")
    raise Denied("missing", "the call's key is missing")


def _bare(name: bytes, value: bytes) -> bytes:
    if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
        return value[len(_BEARER) :].strip()
    return value
