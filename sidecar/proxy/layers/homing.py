"""Send calls that ask for what a provider keeps to the endpoint that made it, and nowhere else.

`previous_response_id`, conversations, files, batches, containers and encrypted reasoning items only
work where they were made. Where they were is learnt from replies. An id that is not known, as after
a restart, chooses an endpoint of the route's own upstream by its hash, so that all sidecars choose
alike. Such a call passes split and fallback by: at another endpoint it would get an error that says
something else than what went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sidecar.errors import ModelUnknown
from sidecar.llm.stateful import Told, asked_in, named_in
from sidecar.policy.homes import Home, Stays
from sidecar.proxy.layers.readable import plain_body
from sidecar.proxy.reply import observed

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.llm.stateful import Place
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.homes import Homes
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_PLAIN: Final = {b"accept-encoding": b"\r\nAccept-Encoding: identity"}
_TEXTS: Final = (b"json", b"event-stream")
_MOST: Final = 4 * 2**20
"""Bytes of a reply in which ids are looked for."""


class Homing:
    """Outside split and fallback. *ways*: the layers for each upstream of the route.

    *own*: the upstream that unknown ids go to.
    """

    def __init__(
        self,
        inner: Layer,
        ways: Mapping[str, Layer],
        own: str,
        homes: Homes,
        hold: int,
        stats: RouteStats,
    ) -> None:
        self._inner = inner
        self._ways = ways
        self._own = own
        self._homes = homes
        self._hold = hold
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Homing, {len(self._homes)} ids known>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Pass the call on, to one endpoint if it asks for something kept."""
        if call.head.upgrade:
            return await self._inner(call, request)
        place = named_in(request.target)
        name, home = self._home(await self._wanted(call, request, place))
        inner = self._inner
        if name is not None:
            self._stats.stateful["unknown" if home is None else "known"] += 1
            upstream, endpoint, key = Home(self._own, "") if home is None else home
            inner = self._ways[upstream]
            request = request.replace(home=Stays(name, endpoint, key))
            call.note("home", f"{name} is at {endpoint or 'an endpoint that its hash chooses'}")
        if place is None:
            return await inner(call, request)
        if request.method == b"POST":  # ids are found in plain text only
            request = request.edited(_PLAIN)
        return self._learnt(request.method, place, home, await inner(call, request))

    async def _wanted(self, call: Call, request: Request, place: Place | None) -> list[str]:
        """Return the ids that the call asks for; of a list, the name of what it lists."""
        if place is not None and place.name is not None:
            return [place.name]
        if place is not None and request.method == b"GET":  # one endpoint has all its pages
            return [name for name in (place.cursor, place.collection) if name is not None]
        return await self._asked(call, request)

    def _learnt(self, method: bytes, place: Place, home: Home | None, reply: Reply) -> Reply:
        """Return *reply*, from which ids are learnt. *home*: where the path's thing was so far."""
        named = place.name
        attempt = reply.attempt
        if attempt is None or not 200 <= reply.head.status < 300:
            return reply
        if method == b"DELETE":
            if named is not None:
                self._homes.forget(named)
            return reply
        made = Home(attempt.endpoint.upstream, attempt.endpoint.name, attempt.key)
        if named is not None and home not in (None, made):
            self._homes.move(named, made)  # its old home is gone, and this one has it too
        kind = reply.head.fields.get(b"content-type", b"").lower()
        if b"content-encoding" in reply.head.fields or not any(text in kind for text in _TEXTS):
            return reply
        return observed(reply, _Learner(self._homes, made, Told(items=place.has_items)))

    async def _asked(self, call: Call, request: Request) -> list[str]:
        """Return the ids that the body refers to; none of a body that can't be read."""
        if request.method != b"POST":
            return []
        try:
            body = await plain_body(call, request, self._hold)
        except ModelUnknown:
            return []
        return [] if body is None else asked_in(body)

    def _home(self, names: list[str]) -> tuple[str | None, Home | None]:
        """Return the first of *names* whose home is known; else the first, without a home."""
        for name in names:
            home = self._homes.of(name)
            if home is not None and home.upstream in self._ways:
                return name, home
        return (names[0] if names else None), None


class _Learner:
    """Learns from what passes that its ids live at *home*."""

    def __init__(self, homes: Homes, home: Home, told: Told) -> None:
        self._homes = homes
        self._home = home
        self._told = told
        self._left = _MOST

    def data(self, data: bytes) -> None:
        if self._left > 0:
            self._left -= len(data)
            for name in self._told.feed(data):
                self._homes.learn(name, self._home)

    def end(self, error: CallError | None) -> None:
        """Ids count also where the rest of the reply is missing: the thing was made."""
