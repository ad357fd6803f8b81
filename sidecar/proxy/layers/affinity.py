"""Keys for affinity: a call's client, a header, a cookie, or the start of its prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.policy.balance import stable_hash

if TYPE_CHECKING:
    from sidecar.config.model import Balance, Sticky
    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request

_WHOLE: Final = 2.0**64


def client_of(call: Call) -> str:
    """Return the caller's name if it has one, else its address.

    With `trust.forwarded_for`, that is the address which its proxy saw: the last of
    `X-Forwarded-For`, as anybody could have written the others.
    """
    if call.caller:
        return call.caller
    if call.downstream.trust.forwarded_for:
        seen = call.head.fields.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip()
        if seen:
            return seen.decode("latin-1")
    return call.downstream.peer


def affinity(balance: Balance) -> Callable[[Call, Request], int] | None:
    """Return a function for the key that *balance* picks by; None if it uses no key."""
    if balance.method == "prefix":
        size = int(balance.prefix)
        return lambda call, request: _prompt_key(call, request, size)
    if balance.method != "ip_hash":
        return None
    word = _said(balance.hash_on, balance.name)
    return lambda call, _: stable_hash(word(call) or client_of(call).encode("latin-1"))


def sticky_point(sticky: Sticky) -> Callable[[Call], float]:
    """Return a function for a number in [0, 1), the same for one client, header or cookie."""
    word = _said(sticky.by, sticky.name)
    return lambda call: (
        stable_hash(b"split:" + (word(call) or client_of(call).encode("latin-1"))) / _WHOLE
    )


def _said(by: str, name: str | None) -> Callable[[Call], bytes | None]:
    wanted = (name or "").encode()
    if by == "header":
        low = wanted.lower()
        return lambda call: call.head.fields.get(low)
    if by == "cookie":
        return lambda call: _cookie(call.head.fields.get(b"cookie", b""), wanted)
    return lambda call: None


def _cookie(header: bytes, name: bytes) -> bytes | None:
    """Return the value of one cookie (RFC 6265, section 4.2.1)."""
    for pair in header.split(b";"):
        key, equals, value = pair.strip().partition(b"=")
        if key == name and equals:
            return value
    return None


def _prompt_key(call: Call, request: Request, size: int) -> int:
    if request.cache_key is not None:  # calls of one key share more than their start
        return stable_hash((request.model or "").encode() + b"\nkey\n" + request.cache_key)
    start = request.prompt.start(size)
    if not start:
        return stable_hash(client_of(call).encode("latin-1"))
    return stable_hash((request.model or "").encode() + b"\n" + start)
