"""The answers of the admin server that change something."""

from __future__ import annotations

from typing import Any, Final

from sidecar.control.answers import Answer, Request, refusal
from sidecar.control.inspected import Inspected
from sidecar.control.logs import LEVELS

_MAX_WEIGHT: Final = 1000


def set_log_level(inspected: Inspected, request: Request) -> Answer:
    """Set the log level to `level`."""
    level = request.query.get("level", "")
    if level not in LEVELS:
        return refusal(400, "bad_level", f"?level= must be one of {', '.join(LEVELS)}")
    inspected.set_log_level(level)
    return Answer({"level": level})


def purge(inspected: Inspected, request: Request) -> Answer:
    """Forget the kept replies of `route` and `model`, or all."""
    route, model = request.query.get("route"), request.query.get("model")
    if route is None and model is None and "all" not in request.query:
        return refusal(400, "bad_purge", "say ?route=, ?model=, both, or ?all")
    return Answer({"purged": inspected.purge(route, model)})


def restore(inspected: Inspected, request: Request) -> Answer:
    """Use a refused or cooling `key` of `upstream` again (without it: all)."""
    upstream, key = request.query.get("upstream", ""), request.query.get("key")
    if not inspected.restore_key(upstream, key):
        return refusal(404, "no_such_key", "no such upstream, or no such key; /keys lists them")
    return Answer({upstream: inspected.keys()[upstream]})


def drain(inspected: Inspected, _: Request) -> Answer:
    """Stop being ready; close each connection after its call."""
    inspected.drain()
    return Answer({"draining": True}, 202)


def quit_(inspected: Inspected, _: Request) -> Answer:
    """Drain, then exit."""
    inspected.quit()
    return Answer({"quitting": True}, 202)


def weigh(inspected: Inspected, request: Request) -> Answer:
    """Give an endpoint the weight `weight`; `auto`: what the file says."""
    text = request.query.get("weight", "")
    if text == "auto":
        return override(inspected, request, weight=None)
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= _MAX_WEIGHT:
        return refusal(400, "bad_weight", f"?weight= must be 0 to {_MAX_WEIGHT}, or auto")
    return override(inspected, request, weight=weight)


def set_breaker(inspected: Inspected, request: Request) -> Answer:
    """Hold the breaker of an endpoint `open` or `closed`; `auto`: as its calls go."""
    state = request.query.get("state", "")
    if state not in ("open", "closed", "auto"):
        return refusal(400, "bad_state", "?state= must be open, closed or auto")
    return override(inspected, request, breaker=None if state == "auto" else state)


def override(inspected: Inspected, request: Request, **said: Any) -> Answer:
    """Override settings of the endpoint that the query names."""
    upstream, endpoint = request.query.get("upstream", ""), request.query.get("endpoint", "")
    try:
        return Answer(inspected.override(upstream, endpoint, **said))
    except LookupError as error:
        return refusal(404, "no_such_endpoint", f"{error.args[0]}; /upstreams lists them")
    except OverflowError as error:
        return refusal(409, "too_many_overrides", str(error))
