"""A named group of endpoints: which there are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Union

from sidecar.errors import ConnectFailed
from sidecar.policy.load import Total
from sidecar.upstream.resolve import Name

if TYPE_CHECKING:
    from sidecar.config.model import Dialect
    from sidecar.upstream.endpoint import Endpoint

_MAX_RENDERED: Final = 256
"""Endpoints that one template keeps; the least used goes first."""

Source = Union["Endpoint", "Template", "DnsGroup"]
MakeEndpoint = Callable[[str, str | None], "Endpoint"]
"""From a URL and, where the name was resolved already, an address."""


class Version:
    """Counts what changes at an upstream's endpoints. Shared by all configurations of its name."""

    __slots__ = ("total", "value")

    def __init__(self) -> None:
        self.value = 0
        self.total = Total()
        """Calls in flight at all of them."""

    def change(self) -> None:
        """Rotations look anew at their next pick."""
        self.value += 1


class Template:
    """A URL with placeholders: an endpoint for each set of values that a route captured."""

    def __init__(self, url: str, make: MakeEndpoint, drop: Callable[[Endpoint], None]) -> None:
        self.url = url
        self.made: OrderedDict[str, Endpoint] = OrderedDict()
        self._make = make
        self._drop = drop
        self._retired = False

    def render(self, captured: Mapping[str, str]) -> Endpoint:
        """The endpoint for what was captured."""
        url = self.url.format_map(captured)
        endpoint = self.made.get(url)
        if endpoint is None:
            endpoint = self.made[url] = self._make(url, None)
            if self._retired:  # for a call that began before
                self._drop(endpoint)
            if len(self.made) > _MAX_RENDERED:
                self._drop(self.made.popitem(last=False)[1])
        self.made.move_to_end(url)
        return endpoint

    def retire(self) -> None:
        """The template is gone from the configuration, and its endpoints with it."""
        self._retired = True
        for endpoint in self.made.values():
            self._drop(endpoint)
        self.made.clear()


class DnsGroup:
    """A name with one endpoint for each of its addresses, which come and go as it changes."""

    def __init__(
        self,
        url: str,
        name: Name,
        make: MakeEndpoint,
        drop: Callable[[Endpoint], None],
        version: Version,
    ) -> None:
        self.url = url
        self.name = name
        self.endpoints: dict[str, Endpoint] = {}
        self._make = make
        self._drop = drop
        self._version = version
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._retired = False

    async def resolve(self) -> None:
        """Ask for the addresses, and again in a while. Raise ConnectFailed if there are none."""
        await self.name.get()
        addresses = self.name.addresses
        if addresses != self.endpoints.keys():
            self._version.change()
        for gone in self.endpoints.keys() - addresses:
            self._drop(self.endpoints.pop(gone))
        for new in sorted(addresses - self.endpoints.keys()):
            self.endpoints[new] = self._make(self.url, new)
            if self._retired:  # for a call that began before
                self._drop(self.endpoints[new])
        if self._timer is None and not self._retired:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.name.refresh, self._again)

    def _again(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self.resolve())

    def retire(self) -> None:
        """The name is gone from the configuration, and its endpoints with it."""
        self._retired = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for endpoint in self.endpoints.values():
            self._drop(endpoint)
        self.endpoints.clear()


class Upstream:
    """A named group of endpoints, as one configuration has it."""

    def __init__(
        self, name: str, dialect: Dialect, sources: list[Source], version: Version
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.sources = sources
        self.version = version
        self.names = [source for source in sources if isinstance(source, DnsGroup)]
        self.templated = any(isinstance(source, Template) for source in sources)
        """Which endpoints there are depends on what a call's route captured."""

    async def resolve(self) -> None:
        """Wait until every `dns` name has an answer. Raise ConnectFailed when none has."""
        pending = [name for name in self.names if not name.endpoints]
        results = await asyncio.gather(*(n.resolve() for n in pending), return_exceptions=True)
        failures = [result for result in results if isinstance(result, ConnectFailed)]
        if failures and len(failures) == len(self.sources):
            raise failures[0]

    @property
    def unresolved(self) -> bool:
        """Whether a `dns` name has never been answered."""
        return any(not name.endpoints for name in self.names)

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
