"""Counts calls to models under the names of the conventions for generative AI."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sidecar.llm.dialects import READABLE
from sidecar.observe.conventions import Attributes, Conventions
from sidecar.observe.models import OTHER
from sidecar.observe.semconv import operation_name, provider_name

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.observe.outcome import Outcome
    from sidecar.proxy.call import Call
    from sidecar.proxy.exchange.reading import Said
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.routing.router import Route

_READ: Final[frozenset[str]] = READABLE


def count(
    conventions: Conventions, call: Call, said: Said | None, outcome: Outcome, now: float
) -> None:
    """Count *call*, which ends *now*, if it asked a model and its reply was to be read.

    What `RouteStats` count for the same call must have been counted before.
    """
    route, attempt = call.route, call.attempt
    if route is None or call.operation not in _READ:
        return
    error = "" if outcome == "ok" else _error(call, said)
    operations = conventions.of(_attributes(call, route, attempt, said))
    operations.durations[error].observe(now - call.arrived)
    if said is None or attempt is None:
        return
    if said.usage is not None and not said.usage.estimated:
        operations.spend(said.usage)
    if attempt.content is None or error:
        return
    operations.first_chunk.observe(max(0.0, attempt.content - call.arrived))
    if said.chunks > 1 and attempt.ended is not None:
        seconds = max(0.0, attempt.ended - attempt.content)
        operations.chunk.observe_each(seconds / (said.chunks - 1), said.chunks - 1)


def _attributes(
    call: Call, route: Route, attempt: AttemptRecord | None, said: Said | None
) -> Attributes:
    """Models are labels of the route's own metrics, of which there is a bounded number."""
    models, asked = route.stats.models, call.model or ""
    answered = (said and said.model) or ""
    origin = None if attempt is None else attempt.endpoint.origin
    provider, address = _server(route.upstream.dialect, origin.authority if origin else b"")
    return Attributes(
        operation_name(call.operation),
        provider,
        asked if not asked or asked in models.asked else OTHER,
        answered and models.answered(answered),
        address,
        str(origin.port) if origin else "",
    )


@lru_cache(1024)
def _server(dialect: Dialect, authority: bytes) -> tuple[str, str]:
    """Return the provider, and the host as its URL names it."""
    host = urlsplit(f"//{authority.decode()}").hostname or ""
    return provider_name(dialect, host), host


def _error(call: Call, said: Said | None) -> str:
    """Return the `error.type`: our code, else the kind of failure, the verdict, or the status."""
    if call.error is not None:
        return call.error.code
    if said is not None and said.failure is not None:
        return said.failure.kind
    if said is not None and said.verdict != "complete":
        return said.verdict
    return str(call.status)
