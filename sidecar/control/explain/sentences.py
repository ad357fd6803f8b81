"""The answer in plain sentences, the most important one first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.control.explain.answer import Explained
    from sidecar.control.explain.passed_over import Miss, PassedOver
    from sidecar.control.explain.targets import EndpointSeen, KeySeen, TargetSeen

_MOST = 8
"""Routes of which it is said why they do not take the call; the rest is counted."""
_SAVING = {
    "rules": "a rule may answer it",
    "cache": "a kept reply may answer it",
    "singleflight": "it may share the reply of the same call in flight",
    "batches": "it may travel with others in one upstream call",
}


def sentences(answer: Explained) -> list[str]:
    """Tell the answer."""
    return [f"{each}." for each in _all(answer)]


def _all(answer: Explained) -> Iterator[str]:
    asked = answer.asked
    call = f"{asked.method} {asked.path} for host {asked.host or '(none)'}"
    call += f" and model {asked.model}" if asked.model is not None else ""
    if answer.outcome == "routed":
        place = f"the {_ordinal((answer.index or 0) + 1)} of {answer.routes}"
        yield f"{call} goes to route {answer.route}, {place}"
    elif answer.outcome == "answered":
        yield f"The sidecar answers {call} by itself"
    elif answer.outcome == "passed_through":
        yield f"No route names the host {asked.host}, so the listener passes its connection through"
        return
    elif answer.refused is not None:
        error = answer.refused
        yield f"The caller gets {error.status} {error.code}: {error.message}"
    if answer.access is not None:
        error = answer.access
        yield f"The listener {answer.listener} answers {error.status}: {error.message}"
    if answer.task:
        yield "The call is for a task, and the task's configuration chooses route and model"
    yield from _others(answer)
    if answer.outcome == "routed":
        yield from _policy(answer)
        yield from _upstreams(answer)


def _others(answer: Explained) -> Iterator[str]:
    shown = answer.passed_over[-_MOST:] if answer.route else answer.passed_over[:_MOST]
    for route in shown:
        if route.because:
            yield f"Route {route.route} does not match: {_because(route)}"
    left = len(answer.passed_over) - len(shown)
    if left:
        yield f"{left} other routes do not match either"
    if answer.also_match:
        first = answer.also_match[0]
        more = len(answer.also_match) - 1
        others = f" and {more} more" if more else ""
        yield f"Route {first}{others} would match too, but the first match wins"


def _because(route: PassedOver) -> str:
    return "; ".join(map(_missed, route.because))


def _missed(miss: Miss) -> str:
    if miss.condition.startswith("header"):
        if miss.found is None:
            return f"the call has no {miss.condition}"
        return f"the {miss.condition} has another value"
    found = "none" if miss.found is None else miss.found or "none"
    return f"it wants {miss.condition} {miss.wanted}, not {found}"


def _policy(answer: Explained) -> Iterator[str]:
    own = "a policy of its own" if answer.policy == "(its own)" else f"policy {answer.policy}"
    sent = answer.sent
    assert sent is not None  # it is routed
    times = sent.timeouts
    total = "any time" if times["total"] is None else _seconds(times["total"])
    first: Any = answer.targets[0].policy
    yield (
        f"Under {own}, connecting may take {_seconds(times['connect'])}, the first byte of a reply "
        f"{_seconds(times['first_byte'])}, a silence in it {_seconds(times['idle'])}, and the "
        f"whole call {total}"
    )
    retries = first["retry"]["max"] if sent.retries is None else sent.retries
    again = f"up to {retries} retries" if retries else "no retry"
    hedge = first["hedge"]
    if hedge is not None:
        after = hedge["after"] or f"what {hedge['quantile']} of the calls take"
        again += f", and a hedge after {after}"
    yield f"A failure that may be mended gets {again}"
    for layer, what in _SAVING.items():
        if layer in answer.layers:
            yield f"Before an upstream is asked, {what}"


def _upstreams(answer: Explained) -> Iterator[str]:
    split = any(target.role == "split" for target in answer.targets)
    for target in answer.targets:
        yield _role(target, split=split) + _asks(answer, target)
        yield from _endpoints(target, live=answer.live)


def _role(target: TargetSeen, *, split: bool) -> str:
    if target.role == "fallback":
        return f"If that fails, upstream {target.upstream} is tried"
    if target.role == "mirror":
        return f"Upstream {target.upstream} gets a copy of {_percent(target.share)} of the calls"
    if split:
        return f"Upstream {target.upstream} gets {_percent(target.share)} of the calls"
    return f"Upstream {target.upstream} gets the call"


def _asks(answer: Explained, target: TargetSeen) -> str:
    model = "" if target.model is None else f", asked for model {target.model}"
    if target.model is not None and target.model != answer.asked.model:
        model += f" instead of {answer.asked.model}"
    return f"{model}, {_keys(target.keys)}"


def _keys(keys: list[KeySeen]) -> str:
    if not keys:
        return "with no key"
    ours = [key for key in keys if key.whose == "sidecar"]
    if len(ours) > 1:
        return f"with one of {len(ours)} keys of the sidecar"
    key = (ours or keys)[0]
    whose = "the sidecar's" if key.whose == "sidecar" else "the caller's"
    end = f" that ends in {key.ends}" if key.ends else ""
    return f"with {whose} key in {key.header}{end}"


def _endpoints(target: TargetSeen, *, live: bool) -> Iterator[str]:
    names = [each.name for each in target.endpoints]
    if not live or all(each.state is None for each in target.endpoints):
        yield f"Upstream {target.upstream} has {_counted(names)}, chosen by {target.balance}"
        return
    among = [each for each in target.endpoints if each.in_rotation]
    if target.panic:
        yield f"Every endpoint of {target.upstream} is out, so all of them are tried (panic)"
    else:
        yield (
            f"{len(among)} of {len(names)} endpoints of {target.upstream} are in rotation, "
            f"chosen by {target.balance}"
        )
    for each in target.endpoints:
        if each.reason:
            yield _state(each)


def _state(endpoint: EndpointSeen) -> str:
    state = (endpoint.state or "").replace("_", " ")
    out = "" if endpoint.in_rotation else ", so it gets no calls"
    return f"{endpoint.name} is {state}: {endpoint.reason}{out}"


def _counted(names: list[str]) -> str:
    if len(names) == 1:
        return f"the endpoint {names[0]}"
    return f"{len(names)} endpoints, {', '.join(names[:3])}{' and others' * (len(names) > 3)}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _seconds(seconds: float | None) -> str:
    assert seconds is not None  # only the whole call may have no end
    return f"{seconds:,.4g} s"


def _ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}" + {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
