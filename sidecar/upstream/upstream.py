"""A named group of endpoints: which one an attempt goes to."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from sidecar.errors import AttemptError, ConnectFailed
from sidecar.upstream.resolve import Name

if TYPE_CHECKING:
    from sidecar.config.model import Dialect
    from sidecar.policy.balance import RoundRobin
    from sidecar.upstream.endpoint import Endpoint

_MAX_RENDERED: Final = 256
"""Endpoints that one template keeps; the least used goes first."""

MakeEndpoint = Callable[[str, str | None], "Endpoint"]
"""From a URL and, where the name was resolved already, an address."""


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
        self, url: str, name: Name, make: MakeEndpoint, drop: Callable[[Endpoint], None]
    ) -> None:
        self.url = url
        self.name = name
        self.endpoints: dict[str, Endpoint] = {}
        self._make = make
        self._drop = drop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._retired = False

    async def resolve(self) -> None:
        """Ask for the addresses, and again in a while. Raise ConnectFailed if there are none."""
        await self.name.get()
        addresses = self.name.addresses
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
    """What a route sends its calls to."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        sources: list[Endpoint | Template | DnsGroup],
        turn: RoundRobin,
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.sources = sources
        self.names = [source for source in sources if isinstance(source, DnsGroup)]
        self._turn = turn
        self._fixed = None if self.names else [s for s in sources if not isinstance(s, DnsGroup)]

    def pick(self, captured: Mapping[str, str]) -> Endpoint:
        """The next endpoint. Raise AttemptError when there is none."""
        choices = self._choices() if self._fixed is None else self._fixed
        if not choices:
            raise AttemptError(
                f"upstream {self.name} has no endpoint", code="no_endpoint", status=503
            )
        choice = choices[self._turn.pick(len(choices))] if len(choices) > 1 else choices[0]
        return choice.render(captured) if isinstance(choice, Template) else choice

    async def resolve(self) -> None:
        """Wait until every `dns` name has an answer. Raise ConnectFailed when none has."""
        pending = [name for name in self.names if not name.endpoints]
        results = await asyncio.gather(*(n.resolve() for n in pending), return_exceptions=True)
        failures = [result for result in results if isinstance(result, ConnectFailed)]
        if failures and not self._choices():
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

    def _choices(self) -> list[Endpoint | Template]:
        choices: list[Endpoint | Template] = []
        for source in self.sources:
            if isinstance(source, DnsGroup):
                choices += source.endpoints.values()
            else:
                choices.append(source)
        return choices
