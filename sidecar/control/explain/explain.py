"""Ask where a call would go. Two halves: one needs the data plane's loop, the other does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from sidecar.config.model.policy import PRIORITIES
from sidecar.control.explain.answer import Asked, Explained, Refused, Sent
from sidecar.control.explain.passed_over import PassedOver, passed_over
from sidecar.control.explain.probe import Landed, let_in, send
from sidecar.control.explain.question import call_of, listener_of
from sidecar.control.explain.sentences import sentences
from sidecar.control.explain.targets import Targets
from sidecar.errors import BadMessage, CallError, NotRouted
from sidecar.http.keys import without_keys
from sidecar.http.target import host_name
from sidecar.listen.intercept.hosts import RoutedHosts
from sidecar.listen.listener import name_of
from sidecar.policy.timeouts import first_byte
from sidecar.proxy.routing.asking import learn
from sidecar.proxy.routing.overrides import POLICY
from sidecar.proxy.routing.router import LONGEST_SHOWN

if TYPE_CHECKING:
    from sidecar.config.load import Loaded
    from sidecar.config.model import Listener, Policy
    from sidecar.config.overlay import Effective
    from sidecar.control.explain.question import Question
    from sidecar.control.explain.targets import TargetSeen
    from sidecar.observe.stats import Stats
    from sidecar.proxy.call import Call
    from sidecar.proxy.routing.snapshot import Snapshot


class Seen(NamedTuple):
    """What was found where the endpoints are; the rest is worked out anywhere."""

    snapshot: Snapshot
    listener: Listener
    call: Call | None
    """None: what was asked about is no valid request."""
    error: CallError | None
    access: CallError | None
    landed: Landed | None
    targets: list[TargetSeen]
    live: bool


async def look(question: Question, loaded: Loaded, snapshot: Snapshot, stats: Stats | None) -> Seen:
    """Send the call as far as its route's stack. Of a running sidecar: on the data plane's loop.

    *stats*: None if no sidecar runs. Raise ValueError for a listener that is not there.
    """
    listener = listener_of(question, snapshot.config.listeners)
    live = stats is not None
    try:
        call, client = call_of(question, listener)
    except BadMessage as error:
        return Seen(snapshot, listener, None, error, None, None, [], live)
    access = let_in(call, client, listener)
    landed = await send(call, snapshot)
    if call.model is None:  # nobody looked: no route depends on it, or none was found
        again, _ = call_of(question, listener)
        learn(again, ())
        call.model, call.stream = again.model, again.stream
    if landed is None:
        return Seen(snapshot, listener, call, call.error, access, None, [], live)
    policy = call.head.fields.get(POLICY, b"").decode("latin-1") if listener.trust.headers else ""

    def effective(upstream: str) -> Effective:
        named = policy and loaded.overlay.named(upstream, policy)
        return named or loaded.effective[landed.place, upstream]

    route = snapshot.config.routes[landed.place]
    targets = Targets(snapshot.config, route, effective, stats).seen(call, landed)
    return Seen(snapshot, listener, call, None, access, landed, targets, live)


def tell(seen: Seen) -> Explained:
    """Make the answer. It compiles the conditions of all routes, so not on the loop."""
    answer = _malformed(seen) if seen.call is None else _told(seen, seen.call)
    return structs.replace(answer, sentences=sentences(answer))


def _malformed(seen: Seen) -> Explained:
    asked = Asked("", "", "", None, stream=False, headers=[])
    return Explained("refused", asked=asked, refused=_refused(seen.error), **_where(seen))


def _told(seen: Seen, call: Call) -> Explained:
    landed, snapshot = seen.landed, seen.snapshot
    task = snapshot.tasks is not None and snapshot.tasks.take(call)
    before: list[PassedOver] = []
    later: list[str] = []
    if not task:  # which names its route by itself
        until = None if landed is None else landed.place
        before, later = passed_over(snapshot.config.routes, snapshot.router.rules, call, until)
    common: dict[str, Any] = {
        "asked": _asked(call),
        "task": task,
        "passed_over": before,
        "also_match": later,
        "access": _refused(seen.access),
        **_where(seen),
    }
    if landed is not None:
        route = snapshot.config.routes[landed.place]
        return Explained(
            "routed",
            route=landed.route.name,
            index=landed.place,
            policy=_policy(seen, call, route.policy),
            layers=list(landed.route.layers),
            sent=_sent(landed),
            targets=seen.targets,
            **common,
        )
    if seen.error is None:
        return Explained("answered", **common)
    if isinstance(seen.error, NotRouted) and _passes(seen, call):
        return Explained("passed_through", **common)
    return Explained("refused", refused=_refused(seen.error), **common)


def _where(seen: Seen) -> dict[str, Any]:
    return {
        "listener": name_of(seen.listener),
        "live": seen.live,
        "routes": len(seen.snapshot.router.rules),
    }


def _asked(call: Call) -> Asked:
    head = call.head
    model = None if call.model is None else call.model[:LONGEST_SHOWN]
    names = sorted(name.decode("latin-1") for name in head.fields)
    host, path = head.host.decode("latin-1"), head.path.decode("latin-1")
    return Asked(head.method.decode("latin-1"), path, host, model, call.stream, names)


def _refused(error: CallError | None) -> Refused | None:
    return None if error is None else Refused(error.status, error.code, error.message)


def _passes(seen: Seen, call: Call) -> bool:
    """Whether the listener connects the client to this host, since no route names it."""
    if seen.listener.mode == "reverse":
        return False
    host = host_name(call.head.host).decode("latin-1")
    return not RoutedHosts(seen.snapshot.config.routes).contain(host)


def _policy(seen: Seen, call: Call, configured: str | Policy) -> str:
    asked = call.head.fields.get(POLICY) if seen.listener.trust.headers else None
    if asked is not None:
        return asked.decode("latin-1")
    return configured if isinstance(configured, str) else "(its own)"


def _sent(landed: Landed) -> Sent:
    request, route = landed.request, landed.route
    timers = request.timers or route.timers
    names = {number: name for name, number in PRIORITIES.items()}
    return Sent(
        without_keys(request.target).decode("latin-1"),
        dict(request.captured),
        dict(request.labels or {}),
        names[request.priority],
        {**timers._asdict(), "first_byte": first_byte(timers)},
        request.retries,
    )
