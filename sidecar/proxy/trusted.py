"""What a trusted caller says of one call, in `x-sidecar-*` headers. They never go upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.config.units import Duration
from sidecar.errors import BadOverride
from sidecar.observe.trace import SAMPLED
from sidecar.proxy.settings import PRIORITIES

if TYPE_CHECKING:
    from sidecar.proxy.call import Call
    from sidecar.proxy.router import Route

_MOST_RETRIES: Final = 10
_MOST_LABELS: Final = 16
POLICY: Final = b"x-sidecar-policy"


def obey(call: Call, route: Route) -> Route:
    """Do what the call's headers say. Raise BadOverride for one that makes no sense."""
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
                say(call, route, fields[header].decode("latin-1"))
            except ValueError as error:
                raise BadOverride(f"{header.decode()}: {error}") from None
    return route


def _total(call: Call, route: Route, text: str) -> None:
    call.timers = (call.timers or route.timers)._replace(total=_seconds(text))


def _first_byte(call: Call, route: Route, text: str) -> None:
    call.timers = (call.timers or route.timers)._replace(first_byte=_seconds(text))


def _idle(call: Call, route: Route, text: str) -> None:
    call.timers = (call.timers or route.timers)._replace(idle=_seconds(text))


def _seconds(text: str) -> float:
    seconds = float(Duration(text))
    if seconds <= 0:
        raise ValueError("must be more than zero")
    return seconds


def _retries(call: Call, _: Route, text: str) -> None:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_RETRIES):
        raise ValueError(f"expected a number from 0 to {_MOST_RETRIES}")
    call.retries = int(text)


def _priority(call: Call, _: Route, text: str) -> None:
    if text not in PRIORITIES:
        raise ValueError(f"expected one of {', '.join(PRIORITIES)}")
    call.priority = PRIORITIES[text]


def _labels(call: Call, _: Route, text: str) -> None:
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    if len(pairs) > _MOST_LABELS or not all(key and equals for key, equals, _ in pairs):
        raise ValueError("expected labels as version=v2,gpu=h100")
    call.labels = {key: value for key, _, value in pairs}


def _trace(call: Call, _: Route, text: str) -> None:
    if text not in ("0", "1"):
        raise ValueError("expected 1 (sampled) or 0")
    flags = call.trace.flags
    call.trace.flags = flags | SAMPLED if text == "1" else flags & ~SAMPLED


_SAYINGS: Final[dict[bytes, Callable[[Call, Route, str], None]]] = {
    b"x-sidecar-timeout": _total,
    b"x-sidecar-first-byte-timeout": _first_byte,
    b"x-sidecar-idle-timeout": _idle,
    b"x-sidecar-retries": _retries,
    b"x-sidecar-priority": _priority,
    b"x-sidecar-labels": _labels,
    b"x-sidecar-trace": _trace,
}
