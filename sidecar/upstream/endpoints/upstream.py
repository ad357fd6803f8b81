"""A named group of endpoints, and the sources that they come from: URLs, templates, DNS names."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Union

from sidecar.errors import AttemptError, ConnectFailed
from sidecar.policy.load import Total

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.upstream.connect.name import Name
    from sidecar.upstream.endpoints.endpoint import Endpoint

_MAX_RENDERED: Final = 256
"""Endpoints that one template keeps; the least recently used is dropped first."""
_IDLE: Final = 600.0
"""Seconds without a call after which a template's endpoint is dropped."""
_SWEEP: Final = 60.0
"""Seconds between two sweeps for such endpoints."""

Source = Union["Endpoint", "Template", "DnsGroup"]
MakeEndpoint = Callable[[str, str | None], "Endpoint"]
"""Makes an endpoint of a URL and, where the name was resolved already, an address."""


class Membership:
    """The generation of an upstream's endpoints, shared by all configurations of its name."""

    __slots__ = ("generation", "total")

    def __init__(self) -> None:
        self.generation = 0
        self.total = Total()
        """The load of all endpoints together."""

    def change(self) -> None:
        """Have load balancers look anew at their next pick."""
        self.generation += 1


class Template:
    """A URL with placeholders: an endpoint for each set of values that a route captured."""

    def __init__(self, url: str, make: MakeEndpoint, drop: Callable[[Endpoint], None]) -> None:
        self.url = url
        self.made: OrderedDict[str, Endpoint] = OrderedDict()
        self._make = make
        self._drop = drop
        self._retired = False
        self._used: dict[str, float] = {}
        """When each endpoint was last asked for (monotonic seconds)."""
        self._sweeper: asyncio.TimerHandle | None = None

    def render(self, captured: Mapping[str, str]) -> Endpoint:
        """Return the endpoint for what was captured, made at its first use."""
        url = self.url.format_map(captured)
        endpoint = self.made.get(url)
        if endpoint is None:
            endpoint = self.made[url] = self._make(url, None)
            if self._retired:  # for a call that began before
                self._drop(endpoint)
            if len(self.made) > _MAX_RENDERED:
                self._drop_oldest()
            if self._sweeper is None and not self._retired:
                self._sweep_later()
        self.made.move_to_end(url)
        self._used[url] = time.monotonic()
        return endpoint

    def retire(self) -> None:
        """Drop all endpoints: the template is no longer configured."""
        self._retired = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self.made:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        url, endpoint = self.made.popitem(last=False)
        self._used.pop(url, None)
        self._drop(endpoint)

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Drop endpoints that no call has asked for in a while."""
        self._sweeper = None
        old = time.monotonic() - _IDLE
        while self.made and self._used[next(iter(self.made))] < old:
            self._drop_oldest()
        if self.made:
            self._sweep_later()


class DnsGroup:
    """A DNS name with one endpoint for each of its addresses, which come and go with them."""

    def __init__(
        self,
        url: str,
        resolved: Name,
        make: MakeEndpoint,
        drop: Callable[[Endpoint], None],
        membership: Membership,
    ) -> None:
        self.url = url
        self.resolved = resolved
        self.endpoints: dict[str, Endpoint] = {}
        self._make = make
        self._drop = drop
        self._membership = membership
        self._retired = False
        resolved.on_change = self.follow

    def start(self) -> None:
        """Look the name up from now on: its configuration serves."""
        self.follow()
        self.resolved.ask()

    @property
    def reachable(self) -> bool:
        """Whether the name has any address."""
        return bool(self.endpoints)

    def follow(self) -> None:
        """Make and drop endpoints, so that there is one for each address of the name."""
        addresses = self.resolved.addresses
        if addresses != self.endpoints.keys():
            self._membership.change()
        for gone in self.endpoints.keys() - addresses:
            self._drop(self.endpoints.pop(gone))
        for new in sorted(addresses - self.endpoints.keys()):
            self.endpoints[new] = self._make(self.url, new)
            if self._retired:  # for a call that began before
                self._drop(self.endpoints[new])

    def retire(self) -> None:
        """Drop all endpoints: the name is no longer configured."""
        self._retired = True
        self.resolved.stop()
        for endpoint in self.endpoints.values():
            self._drop(endpoint)
        self.endpoints.clear()
        self._membership.change()


class Upstream:
    """A named group of endpoints, as one configuration has it."""

    def __init__(
        self, name: str, dialect: Dialect, sources: list[Source], membership: Membership
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.sources = sources
        self.membership = membership
        self.templated = any(isinstance(source, Template) for source in sources)
        """Whether the endpoints depend on what a call's route captured."""
        self._named = [
            source
            for source in sources
            if not isinstance(source, Template) and not source.resolved.fixed
        ]
        self._seen = -1

    @property
    def unresolved(self) -> bool:
        """Whether a call has to wait for a name: no endpoint has an address yet.

        Names that were never looked up are, from the first call on: those that are slow to be
        answered hold up no call that another endpoint can take.
        """
        if not self._named or self._seen == self.membership.generation:
            return False
        for source in self._named:
            source.resolved.ask()
        if not self._reachable():
            return True
        self._seen = self.membership.generation
        return False

    async def resolve(self) -> None:
        """Wait until one of the names has an answer.

        Raise AttemptError when none has, and there is no endpoint that could be tried all the same.
        """
        asking = {asyncio.create_task(_answer(source)) for source in self._named}
        failures: list[BaseException] = []
        try:
            while asking and not self._reachable():
                done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                failures += [error for task in done if (error := task.exception()) is not None]
        finally:
            for task in asking:
                task.cancel()
        if failures and not self.endpoints():
            raise self._nothing(failures[0])

    def _nothing(self, error: BaseException) -> BaseException:
        """Make the error for a call while no name has an address; *error* is that of one name."""
        if not isinstance(error, ConnectFailed):
            return error
        message = f"upstream {self.name} has no endpoint: {error.message}"
        return AttemptError(message, code="no_endpoint", status=503)

    def _reachable(self) -> bool:
        """Whether any endpoint has an address. A template's are taken to have one."""
        return any(isinstance(source, Template) or source.reachable for source in self.sources)

    def endpoints(self) -> list[Endpoint]:
        """List the endpoints that exist now."""
        found: list[Endpoint] = []
        for source in self.sources:
            if isinstance(source, DnsGroup):
                found += source.endpoints.values()
            elif isinstance(source, Template):
                found += source.made.values()
            else:
                found.append(source)
        return found

    def rendered(self, captured: Mapping[str, str]) -> list[Endpoint]:
        """List the endpoints for a call whose route captured this."""
        found: list[Endpoint] = []
        for source in self.sources:
            if isinstance(source, DnsGroup):
                found += source.endpoints.values()
            else:
                found.append(source.render(captured) if isinstance(source, Template) else source)
        return found


async def _answer(source: Endpoint | DnsGroup) -> None:
    """Wait until *source* has an address. Raise AttemptError if there is none to be had."""
    await source.resolved.get()
    if isinstance(source, DnsGroup):  # one that is retired is told of no changes
        source.follow()
