"""A named group of endpoints: which there are."""

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
"""Endpoints that one template keeps; the least used goes first."""
_IDLE: Final = 600.0
"""Seconds without a call after which one of them goes, with its connections long closed."""
_SWEEP: Final = 60.0
"""Seconds between two looks for such."""

Source = Union["Endpoint", "Template", "DnsGroup"]
MakeEndpoint = Callable[[str, str | None], "Endpoint"]
"""From a URL and, where the name was resolved already, an address."""


class Membership:
    """Counts what changes at an upstream's endpoints. Shared by all configurations of its name."""

    __slots__ = ("generation", "total")

    def __init__(self) -> None:
        self.generation = 0
        self.total = Total()
        """Calls in flight at all of them."""

    def change(self) -> None:
        """Rotations look anew at their next pick."""
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
        """When each was asked for last (monotonic seconds)."""
        self._sweeper: asyncio.TimerHandle | None = None

    def render(self, captured: Mapping[str, str]) -> Endpoint:
        """The endpoint for what was captured."""
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
        """The template is gone from the configuration, and its endpoints with it."""
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
        """Let go of what no call has asked for in a while."""
        self._sweeper = None
        old = time.monotonic() - _IDLE
        while self.made and self._used[next(iter(self.made))] < old:
            self._drop_oldest()
        if self.made:
            self._sweep_later()


class DnsGroup:
    """A name with one endpoint for each of its addresses, which come and go as it changes."""

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
        """Have the name looked up, now and from then on: it serves."""
        self.follow()
        self.resolved.ask()

    @property
    def reachable(self) -> bool:
        """Whether the name has any address."""
        return bool(self.endpoints)

    def follow(self) -> None:
        """Have an endpoint for each address that the name has now, and no others."""
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
        """The name is gone from the configuration, and its endpoints with it."""
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
        """Which endpoints there are depends on what a call's route captured."""
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
        """What a call is told while no name has an address, *error* being what one of them says."""
        if not isinstance(error, ConnectFailed):
            return error
        message = f"upstream {self.name} has no endpoint: {error.message}"
        return AttemptError(message, code="no_endpoint", status=503)

    def _reachable(self) -> bool:
        """Whether any endpoint has an address. A template's have, as far as is known before."""
        return any(isinstance(source, Template) or source.reachable for source in self.sources)

    def endpoints(self) -> list[Endpoint]:
        """Those that exist now."""
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
        """Those that a call whose route captured this may go to."""
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
