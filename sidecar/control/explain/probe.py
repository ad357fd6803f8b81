"""Let the real life of a call choose the route, with a probe in place of each route's stack.

So everything that `serve` looks at counts here too: tasks, headers, the model, overrides.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, NamedTuple

from sidecar.errors import CallError
from sidecar.listen.callers import know, token_keys
from sidecar.observe.stats import RouteStats, Stats
from sidecar.policy.access import Access
from sidecar.proxy.access import admit
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.routing.router import Route, Router
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

    def instead(self, index: int, route: Route) -> Route:
        """Return *route* with this probe as its stack, and counts of its own."""

        async def stack(call: Call, request: Request) -> Reply:
            self.landed = Landed(index, route, request)
            raise _Reached("it goes no further")

        def under(policy: str) -> Route | None:
            other = route.under(policy)
            return None if other is None else self.instead(index, other)

        return route._replace(stack=stack, stats=RouteStats(), under=under)


async def send(call: Call, snapshot: Snapshot) -> Landed | None:
    """Serve *call* up to the stack of its route; None if it does not come to one.

    `call.error` says why not, or is None where the sidecar answers by itself. Nothing is counted.
    """
    probe = Probe()
    rules = [copy.copy(rule) for rule in snapshot.router.rules]
    for index, rule in enumerate(rules):
        rule.route = probe.instead(index, rule.route)
    tasks = None
    if snapshot.tasks is not None:
        from sidecar.proxy.tasks.compiled import compile_tasks
        from sidecar.proxy.tasks.tasks import Tasks

        by_name = {rule.route.name: rule.route for rule in rules}
        tasks = Tasks(compile_tasks(snapshot.config), by_name, Stats(0.0))
    await serve(call, snapshot._replace(router=Router(rules), tasks=tasks), Recorder(Stats(0.0)))
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
