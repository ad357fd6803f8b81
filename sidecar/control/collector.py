"""The collector that spans are sent to, and how it asks us to wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.upstream.connect.dialer import Dialer
from sidecar.upstream.connect.name import Name
from sidecar.upstream.connect.tls import client_context
from sidecar.upstream.endpoints.endpoint import Origin
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.config.model.tracing import Tracing
    from sidecar.upstream.connect.resolver import AddrInfo

PATH: Final = "/v1/traces"
AGAIN: Final = (429, 502, 503, 504)
"""Statuses after which a request is sent again (OTLP, failures over HTTP)."""
LONGEST_NAMED: Final = 300.0
"""Seconds that a collector can have us wait."""
LONGEST: Final = 30.0
"""Seconds between two tries, where it names none."""
_REFRESH: Final = 30.0
"""Seconds after which its name is looked up again."""


class Collector(NamedTuple):
    """Where spans are sent, as `Probe` takes it."""

    name: str
    origin: Origin
    resolved: Name
    dial: Dialer


async def find_collector(
    settings: Tracing, find: Callable[[str], Awaitable[list[AddrInfo]]]
) -> Collector:
    """Prepare for sending to where *settings* say. Raise OSError for TLS files that can't be used.

    *find* looks host names up.
    """
    url = (settings.endpoint or "").rstrip("/").removesuffix(PATH)
    origin = Origin.of(url)
    context = None
    if origin.secure:
        try:
            context = await off_loop(partial(client_context, settings.tls))
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror or error
            raise OSError(error.errno, f"tracing.tls: {reason}") from error
    name = Name(origin.host, origin.port, _REFRESH, find)
    dialer = Dialer(url, name, context, settings.tls.server_name or origin.host)
    return Collector(url, origin, name, dialer)


def wait_before(failures: int, named: float | None, chance: float) -> float:
    """Return the seconds before the next try, after *failures* in a row.

    *named*: what the collector asks for, which is stretched by up to a half, so that many sidecars
    return one by one. *chance*: in [0, 1).
    """
    if named is not None:
        return min(named, LONGEST_NAMED) * (1 + chance / 2)
    return min(LONGEST, 2.0 ** min(failures - 1, 10)) * (1 + chance) / 2
