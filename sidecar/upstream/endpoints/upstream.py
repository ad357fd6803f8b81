"""A named group of endpoints, and the sources that they come from: URLs, templates, DNS names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.errors import AttemptError, ConnectFailed
from sidecar.policy.load import Total

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.upstream.endpoints.endpoint import Endpoint
    from sidecar.upstream.endpoints.sources import EndpointSource


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


class Upstream:
    """A named group of endpoints, as one configuration has it."""

    def __init__(
        self, name: str, dialect: Dialect, sources: list[EndpointSource], membership: Membership
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.sources = sources
        self.membership = membership
        self.templated = any(source.per_call for source in sources)
        """Whether the endpoints depend on what a call's route captured."""
        self._named = [source for source in sources if source.resolved is not None]
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
            if source.resolved is not None:
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
        return any(source.reachable for source in self.sources)

    def endpoints(self) -> list[Endpoint]:
        """List the endpoints that exist now."""
        return [endpoint for source in self.sources for endpoint in source.endpoints()]

    def for_call(self, captured: Mapping[str, str]) -> list[Endpoint]:
        """List the endpoints for a call whose route captured this."""
        return [endpoint for source in self.sources for endpoint in source.for_call(captured)]


async def _answer(source: EndpointSource) -> None:
    """Wait until *source* has an address. Raise AttemptError if there is none to be had."""
    if source.resolved is not None:
        await source.resolved.get()
    source.follow()  # one that is retired is told of no changes
