"""Let in the calls of known callers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import Limited, NotAllowed, Unauthorized

if TYPE_CHECKING:
    from sidecar.policy.access import Access
    from sidecar.policy.jwt import Tokens
    from sidecar.proxy.call import Call

_OURS: Final = b"x-sidecar-key"
_HEADERS: Final = (_OURS, b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
"""Where keys come: ours first, for callers that also send a provider's; then those of SDKs."""
_AUTHORIZATION: Final = b"authorization"
_BEARER: Final = b"bearer "


def admit(call: Call) -> None:
    """Find out who calls, if the listener wants to know, and which headers must not go upstream.

    Raise Unauthorized or NotAllowed; Limited where the address has failed too often.
    """
    access = call.downstream.access
    if access is not None:  # hardly ever
        _admit(call, access)


def _admit(call: Call, access: Access) -> None:
    from sidecar.policy.client_certificates import Denied  # only who asks for callers pays for it

    try:
        call.caller, call.local_keys = _known(call, access)
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


def _known(call: Call, access: Access) -> tuple[str, tuple[bytes, ...]]:
    """Return who calls, and the headers that say so; none for a certificate. Raise Denied.

    A key or a token says more of the call than the connection's certificate does.
    """
    from sidecar.policy.client_certificates import Denied

    fields, caller = call.head.fields, ""
    ours: list[bytes] = []
    shown = [(name, value) for name in _HEADERS if (value := fields.get(name)) is not None]
    for name, value in shown:
        found = access.caller(_bare(value) if name == _AUTHORIZATION else value)
        if found is not None or name == _OURS:  # which no provider has a use for
            ours.append(name)
            caller = caller or found or ""
    other = ""
    if access.tokens is not None and (not caller or access.tokens.header not in ours):
        found, other = _by_token(fields.get(access.tokens.header), access.tokens)
        if found is not None:
            ours.append(access.tokens.header)
            caller = caller or found
    if caller:
        return caller, tuple(ours)
    certificate = call.downstream.certificate
    if access.certificates is not None and certificate is not None:
        return access.certificates.caller(certificate, time.time()), tuple(ours)
    if other:
        raise Denied("wrong_issuer", other)
    ways = " or ".join(access.ways)
    if shown and access.ways != ("a client certificate",):
        raise Denied("wrong", f"what the call shows is wrong; expected {ways}")
    raise Denied("missing", f"the call is missing {ways}")


def _by_token(value: bytes | None, tokens: Tokens) -> tuple[str | None, str]:
    """Return who calls, or what is wrong with a token of somebody else. Raise Denied.

    A token that is ours and not good goes nowhere. One of others may be a provider's key.
    """
    from sidecar.policy.client_certificates import Denied

    if value is None:
        return None, ""
    try:
        return tokens.caller(_bare(value), time.time()), ""
    except Denied as denied:
        if not denied.others or tokens.header not in _HEADERS:
            raise
        return None, str(denied) if denied.reason == "wrong_issuer" else ""


def _bare(value: bytes) -> bytes:
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else value
