"""How the admin server shows upstreams, endpoints and connections. For the data plane's loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sidecar.upstream.endpoints.overrides import Override

if TYPE_CHECKING:
    from sidecar.listen.downstream import DownstreamConnection
    from sidecar.listen.intercept.tunnel import Tunnel
    from sidecar.observe.stats import UpstreamStats
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.endpoints.upstream import Upstream


def show_upstream(upstream: Upstream, stats: UpstreamStats) -> dict[str, Any]:
    """Show *upstream* and its endpoints."""
    shown = {
        "name": upstream.name,
        "dialect": upstream.dialect,
        "panic": sorted(scope for scope, panic in stats.panic.items() if panic),
        "ejected": {scope: names for scope, names in stats.ejected.items() if names},
        "endpoints": [show_endpoint(endpoint) for endpoint in upstream.endpoints()],
    }
    if stats.queue is not None:
        shown["admission"] = {"in_flight": stats.queue.in_flight, "queued": stats.queue.queued}
    return shown


def show_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Show *endpoint*: its state, with the reason, load and counts."""
    from sidecar.control.live.view import Clock, state_of  # late: most sidecars are not looked at

    stats, load, override = endpoint.stats, endpoint.load, endpoint.override
    now, state = time.monotonic(), state_of(endpoint, Clock.now())
    return {
        "name": endpoint.name,
        "labels": dict(endpoint.labels),
        "weight": load.weight,
        "state": state.name,
        "reason": state.reason,
        "healthy": stats.up,
        "problem": endpoint.problem,
        "breakers": {name: breaker.snapshot(now) for name, breaker in endpoint.breakers.items()},
        "override": override._asdict() if override != Override() else None,
        "in_flight": load.in_flight,
        "load": load.snapshot(now),
        "attempts": {str(status): count for status, count in sorted(stats.attempts.items())},
        "errors": dict(stats.errors),
        "replays": stats.replays,
        "connections": {"open": stats.open, "idle": stats.idle, "waiting": stats.waiting},
    }


def show_tunnel(listener: str, tunnel: Tunnel, now: float) -> dict[str, Any]:
    """Show *tunnel* at *listener*; *now*: monotonic seconds."""
    return {
        "listener": listener,
        "peer": tunnel.peer,
        "state": "passed_through",
        "seconds": round(now - tunnel.since, 3),
        "to": tunnel.target,
    }


def show_connection(listener: str, connection: DownstreamConnection, now: float) -> dict[str, Any]:
    """Show *connection* at *listener* and its call; *now*: monotonic seconds."""
    call = connection.call
    shown: dict[str, Any] = {
        "listener": listener,
        "peer": connection.peer,
        "calls": connection.calls,
    }
    if call is None:
        return shown | {"state": "idle", "seconds": round(now - connection.since, 3)}
    attempt = call.attempt or (call.attempts[-1] if call.attempts else None)
    return shown | {
        "state": "tunnel" if call.reply is not None and call.reply.tunnel is not None else "call",
        "seconds": round(now - call.arrived, 3),
        "request_id": call.request_id.decode("latin-1"),
        "route": call.route.name if call.route else None,
        "endpoint": attempt.endpoint.name if attempt else None,
        "status": call.status or None,
    }
