"""Let the real life of a call choose the route, with a probe in place of each route's stack.

So everything that `serve` looks at counts here too: tasks, headers, the model, overrides.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import CallError
from sidecar.listen.callers import know, token_keys
from sidecar.observe.stats import RouteStats, Stats
from sidecar.policy.access import Access
from sidecar.proxy.access import admit
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.routing.router import Candidate, Route, Router, Rule
from sidecar.proxy.serve import serve

if TYPE_CHECKING:
    from sidecar.config.model import Listener
    from sidecar.control.explain.question import Client
    from sidecar.policy.jwks import PublicKey
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.routing.snapshot import Snapshot


class Landed(NamedTuple):
    """Where a call has come to."""

    place: int
    """The route's, from 0."""
    route: Route
    """The real one, under the policy that the call asks for."""
    request: Request
    """What its stack would be asked."""


class _Reached(CallError):
    """The call has come to a stack, and goes no further."""


class Probe:
    """Stands in for the stacks of all routes."""

    def __init__(self) -> None:
        self.landed: Landed | None = None
        self._counts = RouteStats()

    def instead(self, index: int, route: Route) -> Route:
        """Return *route* with this probe as its stack, and counts that nobody reads."""

        async def stack(call: Call, request: Request) -> Reply:
            self.landed = Landed(index, route, request)
            raise _Reached("it goes no further")

        def under(policy: str) -> Route | None:
            other = route.under(policy)
            return None if other is None else self.instead(index, other)

        return route._replace(stack=stack, stats=self._counts, under=under)


class _ProbedRouter(Router):
    """The routes of *rules*, with a probe behind each. It remembers nothing of real calls."""

    def __init__(self, rules: list[Rule], probe: Probe) -> None:
        super().__init__(rules)
        self._probe = probe

    def candidates(self, host: bytes, path: bytes, method: bytes) -> tuple[Candidate, ...]:
        """Return the routes that may match a call, in order, as the router does."""
        places = {id(rule.route): place for place, rule in enumerate(self.rules)}
        return tuple(
            each._replace(route=self._probe.instead(places[id(each.route)], each.route))
            for each in super().candidates(host, path, method)
        )


async def send(call: Call, snapshot: Snapshot) -> Landed | None:
    """Serve *call* up to the stack of its route; None if it does not come to one.

    `call.error` says why not, or is None where the sidecar answers by itself. Nothing is counted.
    """
    probe, rules = Probe(), snapshot.router.rules
    tasks = None
    if snapshot.tasks is not None:
        from sidecar.proxy.tasks.compiled import compile_tasks
        from sidecar.proxy.tasks.tasks import Tasks

        by_name = {
            rule.route.name: probe.instead(place, rule.route) for place, rule in enumerate(rules)
        }
        tasks = Tasks(compile_tasks(snapshot.config), by_name, Stats(0.0))
    probed = snapshot._replace(router=_ProbedRouter(rules, probe), tasks=tasks)
    await serve(call, probed, Recorder(Stats(0.0)))
    return probe.landed


def let_in(call: Call, client: Client, listener: Listener) -> CallError | None:
    """Find out whether *listener* lets *call* in; return the error with which it would not."""
    if listener.access is None:
        return None
    client.access = Access()  # whose failures nobody counts
    keys: tuple[PublicKey, ...] = ()
    with contextlib.suppress(OSError):  # told when it was loaded
        keys = token_keys(listener.access)
    know(client.access, listener.access, keys)
    try:
        admit(call)
    except CallError as error:
        return error
    finally:
        client.access = None
    return None
