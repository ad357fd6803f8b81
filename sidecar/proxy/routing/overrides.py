"""Overrides for one call by a trusted caller: `x-sidecar-*` headers. They never go upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.config.model.policy import PRIORITIES
from sidecar.config.model.units import Duration
from sidecar.errors import BadOverride
from sidecar.observe.trace import SAMPLED

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request
    from sidecar.proxy.routing.router import Route

_MOST_RETRIES: Final = 10
_MOST_LABELS: Final = 16
POLICY: Final = b"x-sidecar-policy"
TRACE: Final = b"x-sidecar-trace"


def apply_overrides(call: Call, route: Route, request: Request) -> tuple[Route, Request]:
    """Apply the call's override headers. Raise BadOverride for an invalid one."""
    fields = call.head.fields
    if POLICY in fields:
        name = fields[POLICY].decode("latin-1")
        under = route.under(name)
        if under is None:
            raise BadOverride(f"x-sidecar-policy: there is no policy {name}")
        route = under
    for header, say in _SAYINGS.items():
        if header in fields:
            try:
                request = say(request, route, fields[header].decode("latin-1"))
            except ValueError as error:
                raise BadOverride(f"{header.decode()}: {error}") from None
    if TRACE in fields:
        _sample(call, fields[TRACE])
    return route, request


def _total(request: Request, route: Route, text: str) -> Request:
    return _with_timers(request, route, total=_seconds(text))


def _first_byte(request: Request, route: Route, text: str) -> Request:
    return _with_timers(request, route, first_byte=_seconds(text))


def _idle(request: Request, route: Route, text: str) -> Request:
    return _with_timers(request, route, idle=_seconds(text))


def _with_timers(request: Request, route: Route, **timers: float) -> Request:
    return request.replace(timers=(request.timers or route.timers)._replace(**timers))


def _seconds(text: str) -> float:
    seconds = float(Duration(text))
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


def _retries(request: Request, _: Route, text: str) -> Request:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_RETRIES):
        raise ValueError(f"expected a number from 0 to {_MOST_RETRIES}")
    return request.replace(retries=int(text))


def _priority(request: Request, _: Route, text: str) -> Request:
    if text not in PRIORITIES:
        raise ValueError(f"expected one of {', '.join(PRIORITIES)}")
    return request.replace(priority=PRIORITIES[text])


def _labels(request: Request, _: Route, text: str) -> Request:
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    if len(pairs) > _MOST_LABELS or not all(key and equals for key, equals, _ in pairs):
        raise ValueError("expected labels as version=v2,gpu=h100")
    return request.replace(labels={key: value for key, _, value in pairs})


def _sample(call: Call, text: bytes) -> None:
    if text not in (b"0", b"1"):
        raise BadOverride("x-sidecar-trace: expected 1 (sampled) or 0")
    flags = call.trace.flags
    call.trace.flags = flags | SAMPLED if text == b"1" else flags & ~SAMPLED


_SAYINGS: Final[dict[bytes, Callable[[Request, Route, str], Request]]] = {
    b"x-sidecar-timeout": _total,
    b"x-sidecar-first-byte-timeout": _first_byte,
    b"x-sidecar-idle-timeout": _idle,
    b"x-sidecar-retries": _retries,
    b"x-sidecar-priority": _priority,
    b"x-sidecar-labels": _labels,
}
