"""Where an upstream's endpoints come from: a source for each entry of `endpoints`."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from sidecar.upstream.connect.name import Name
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.endpoints.upstream import Membership

_MAX_RENDERED: Final = 256
"""Endpoints that one template keeps; the least recently used is dropped first."""
_IDLE: Final = 600.0
"""Seconds without a call after which a template's endpoint is dropped."""
_SWEEP: Final = 60.0
"""Seconds between two sweeps for such endpoints."""
MakeEndpoint = Callable[[str, str | None], "Endpoint"]
"""Makes an endpoint of a URL and, where the name was resolved already, an address."""


class EndpointSource(Protocol):
    """Says which endpoints there are."""

    per_call: bool
    """Whether its endpoints depend on what a call's route captured."""

    @property
    def resolved(self) -> Name | None:
        """The name that has to be looked up before there is an address; None if there is none."""

    @property
    def reachable(self) -> bool:
        """Whether it has an endpoint with an address, as far as that is known before a call."""

    def endpoints(self) -> Sequence[Endpoint]:
        """List the endpoints that exist now."""

    def for_call(self, captured: Mapping[str, str]) -> Sequence[Endpoint]:
        """List the endpoints for a call whose route captured this."""

    def has(self, name: str) -> bool:
        """Whether one of the endpoints that exist now has this name."""

    def start(self) -> None:
        """Keep the endpoints up to date from now on: the configuration serves."""

    def follow(self) -> None:
        """Bring the endpoints up to date with the name's addresses."""

    def retire(self) -> None:
        """Drop all endpoints: the source is no longer configured."""


class UrlSource:
    """A URL: one endpoint, whatever its name resolves to."""

    per_call = False

    def __init__(self, endpoint: Endpoint, drop: Callable[[Endpoint], None]) -> None:
        self._endpoints = (endpoint,)
        self._drop = drop
        self.resolved = None if endpoint.resolved.fixed else endpoint.resolved

    @property
    def reachable(self) -> bool:
        """Whether its address is known."""
        return self._endpoints[0].reachable

    def endpoints(self) -> Sequence[Endpoint]:
        """List the one endpoint."""
        return self._endpoints

    def for_call(self, captured: Mapping[str, str]) -> Sequence[Endpoint]:
        """List the one endpoint."""
        return self._endpoints

    def has(self, name: str) -> bool:
        """Whether it has this name."""
        return self._endpoints[0].name == name

    def start(self) -> None:
        """Do nothing: a call, or a health check, looks the name up."""

    def follow(self) -> None:
        """Do nothing: the endpoint follows its name by itself."""

    def retire(self) -> None:
        """Drop the endpoint."""
        self._drop(self._endpoints[0])


class TemplateSource:
    """A URL with placeholders: an endpoint for each set of values that a route captured."""

    per_call = True
    resolved = None
    reachable = True

    def __init__(self, url: str, make: MakeEndpoint, drop: Callable[[Endpoint], None]) -> None:
        self.url = url
        self.made: OrderedDict[str, Endpoint] = OrderedDict()
        self._make = make
        self._drop = drop
        self._retired = False
        self._used: dict[str, float] = {}
        """When each endpoint was last asked for (monotonic seconds)."""
        self._sweeper: asyncio.TimerHandle | None = None

    def endpoints(self) -> Sequence[Endpoint]:
        """List the endpoints that calls have made."""
        return list(self.made.values())

    def has(self, name: str) -> bool:
        """Whether a call has made an endpoint of this name, which is its URL."""
        return name in self.made

    def start(self) -> None:
        """Do nothing: calls make the endpoints."""

    def follow(self) -> None:
        """Do nothing: each endpoint follows its name by itself."""

    def for_call(self, captured: Mapping[str, str]) -> Sequence[Endpoint]:
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
        return (endpoint,)

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


class DnsSource:
    """A DNS name with one endpoint for each of its addresses, which come and go with them."""

    per_call = False

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
        self._by_address: dict[str, Endpoint] = {}
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
        return bool(self._by_address)

    def endpoints(self) -> Sequence[Endpoint]:
        """List the endpoints of the addresses that the name has now."""
        return list(self._by_address.values())

    def for_call(self, captured: Mapping[str, str]) -> Sequence[Endpoint]:
        """List the same for every call."""
        return self.endpoints()

    def has(self, name: str) -> bool:
        """Whether an address has the endpoint of this name."""
        return any(endpoint.name == name for endpoint in self._by_address.values())

    def follow(self) -> None:
        """Make and drop endpoints, so that there is one for each address of the name."""
        addresses = self.resolved.addresses
        if addresses != self._by_address.keys():
            self._membership.change()
        for gone in self._by_address.keys() - addresses:
            self._drop(self._by_address.pop(gone))
        for new in sorted(addresses - self._by_address.keys()):
            self._by_address[new] = self._make(self.url, new)
            if self._retired:  # for a call that began before
                self._drop(self._by_address[new])

    def retire(self) -> None:
        """Drop all endpoints: the name is no longer configured."""
        self._retired = True
        self.resolved.stop()
        for endpoint in self._by_address.values():
            self._drop(endpoint)
        self._by_address.clear()
        self._membership.change()
