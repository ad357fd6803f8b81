"""The environment variables that `sidecar` itself reads, and which may be misspelt. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

PREFIX: Final = "SIDECAR_"
CONFIG: Final = "SIDECAR_CONFIG"
LISTEN: Final = "SIDECAR_LISTEN"
ADMIN: Final = "SIDECAR_ADMIN"
HEALTH: Final = "SIDECAR_HEALTH"
LOG_LEVEL: Final = "SIDECAR_LOG_LEVEL"
LOG_FORMAT: Final = "SIDECAR_LOG_FORMAT"
STATE: Final = "SIDECAR_STATE"

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        CONFIG: "sources of the configuration, as --config; several are separated by white space",
        LISTEN: "as --listen",
        ADMIN: "as --admin; other commands find the sidecar by it",
        HEALTH: "as --health",
        LOG_LEVEL: "as --log-level",
        LOG_FORMAT: "as --log-format",
        STATE: "folder for the last valid text of each source",
    }
)
"""Each with its meaning. None ends in `_PORT`: Kubernetes sets `X_PORT` for a Service `x`."""
OFF: Final = "off"
"""Turns a server off."""
DEFAULT_ADMIN: Final = "127.0.0.1:14010"

_PROTOCOLS: Final = ("_TCP", "_UDP", "_SCTP")
_LIKE: Final = 0.62


def value(environ: Mapping[str, str], name: str) -> str | None:
    """Return what *name* is set to. Empty is not set: `${X:-}` in Compose makes it so."""
    return environ.get(name, "").strip() or None


def admin(environ: Mapping[str, str]) -> str:
    """Where commands find the admin API of the sidecar of this machine or container."""
    said = value(environ, ADMIN)
    return DEFAULT_ADMIN if said in (None, OFF) else str(said)


def ready_port(environ: Mapping[str, str]) -> int:
    """Return the port at which `sidecar ready` asks: the admin API's, else that of its health."""
    for name in (ADMIN, HEALTH):
        port = (value(environ, name) or "").rpartition(":")[2]
        if port.isdecimal():
            return int(port)
    return int(DEFAULT_ADMIN.rpartition(":")[2])


def unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """List variables that look like ours and are not, each with the one that may be meant."""
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in VARIABLES:
            continue
        if _tells_of_a_service(name, text):
            continue
        from difflib import get_close_matches

        known = [each.removeprefix(PREFIX) for each in VARIABLES]
        meant = get_close_matches(name.removeprefix(PREFIX), known, 1, _LIKE)
        yield name, PREFIX + meant[0] if meant else None


def _tells_of_a_service(name: str, text: str) -> bool:
    """Whether Kubernetes sets it for a Service `sidecar...`, or Docker for an old link."""
    if "_SERVICE_HOST" in name or "_SERVICE_PORT" in name:
        return True
    if "_PORT_" in name and any(protocol in name for protocol in _PROTOCOLS):
        return True  # X_PORT_80_TCP, X_PORT_80_TCP_ADDR, ...
    return name.endswith("_PORT") and "://" in text


def without(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what changes where a sidecar listens and what it serves."""
    return {
        name: text
        for name, text in environ.items()
        if name not in (CONFIG, LISTEN, ADMIN, HEALTH, LOG_FORMAT)
    }
