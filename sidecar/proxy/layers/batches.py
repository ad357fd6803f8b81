"""Calls for embeddings that come at nearly the same time become one upstream call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from sidecar.errors import EmptyInput
from sidecar.llm.batch import Asked, Empty, read
from sidecar.llm.cache_key import digest
from sidecar.policy.batching import Arrivals, BatchSettings, Doubt, Load
from sidecar.proxy.layers.batch import Batch
from sidecar.proxy.layers.keyed import PLAIN, content_of

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.batch import Member, Outcome
    from sidecar.proxy.layers.keyed import CallKey
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_EARLY: Final = 0.0005
"""Seconds that a timer may be early: uvloop rounds to milliseconds."""
_GROUPS: Final = 1024
"""Kinds of calls that are told apart; at most so many batches are open. Others go alone."""


_text: Final = msgspec.json.Decoder(str).decode


class BatchOptions(NamedTuple):
    """What a policy says about batches."""

    settings: BatchSettings
    empty: Literal["pass", "refuse", "drop"]
    """What is done about empty items."""
    most: int
    """Bytes of a joint reply that are kept."""
    apart: tuple[Callable[[Call], Hashable], ...] = ()
    """What the layers inside tell callers apart by: one call can't be in two of their shares."""
    masked: tuple[Callable[[str], object], ...] = ()
    """Find what the layers inside mask. Placeholders are numbered over a whole call, so the vector
    of a text with one would depend on what travels with it: such a call goes alone."""


class _Group:
    """Calls that may travel together."""

    def __init__(self, settings: BatchSettings) -> None:
        self.arrivals = Arrivals(settings)
        self.batch: Batch | None = None
        self.opened = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.under_way = 0


class Batches:
    """Around all attempts: one retry, one fallback, one slot for all that travel together."""

    def __init__(
        self, inner: Layer, key: CallKey, options: BatchOptions, stats: RouteStats
    ) -> None:
        self._inner = inner
        self._key = key
        self._settings = options.settings
        self._options = options
        self._stats = stats
        self._groups: dict[Hashable, _Group] = {}
        self._doubt = Doubt()

    def __repr__(self) -> str:
        return f"<Batches of {len(self._groups)} kinds>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Join a batch, or begin one; go alone if the call is no request for embeddings."""
        asked = self._asked(call, request)
        if asked is None:
            return await self._inner(call, request)
        group = self._group(call, request, asked)
        member = None if group is None else self._join(group, call, request, asked)
        if member is not None:
            reply = await member.arrival()
            if reply is not None:
                return reply
            # It was refused together with others: its endpoint is to be asked again.
            request = request.replace(since=len(call.attempts))
        if group is None:
            return await self._inner(call, request)
        group.under_way += 1
        try:
            return await self._inner(call, request)
        finally:
            group.under_way -= 1

    def _asked(self, call: Call, request: Request) -> Asked | None:
        """Read what is asked for. None: it goes alone. Raise EmptyInput."""
        if self._key.operation(request) != "embeddings":
            return None
        content = content_of(call, request)
        found = None if content is None else read(content)
        if found is None or self._options.empty == "pass":
            return None if isinstance(found, Empty) or (found and found.empty) else found
        if isinstance(found, Empty):
            raise EmptyInput("every item of the input is empty")
        if found.empty and self._options.empty == "refuse":
            raise EmptyInput(f"item {found.empty[0]} of the input is empty")
        return found

    def _group(self, call: Call, request: Request, asked: Asked) -> _Group | None:
        key = (
            digest((*self._key.circumstances(call, request), asked.kind, asked.rest)),
            # A trusted caller may have set other timers and retries.
            request.timers,
            request.retries,
            request.priority,
            *(of(call) for of in self._options.apart),
            tuple(request.edits[name] for name in sorted(request.edits.keys() - PLAIN.keys())),
        )
        group = self._groups.pop(key, None)
        if group is None:
            group = _Group(self._settings) if self._room() else None
        if group is not None:
            self._groups[key] = group  # the one used last is the last
        return group

    def _room(self) -> bool:
        """Whether there may be one group more, without the one that was used least recently."""
        if len(self._groups) < _GROUPS:
            return True
        key, group = next(iter(self._groups.items()))
        if group.batch is not None or group.under_way:
            self._groups[key] = self._groups.pop(key)  # a second chance
            return False
        del self._groups[key]
        return True

    def _join(self, group: _Group, call: Call, request: Request, asked: Asked) -> Member | None:
        """Find a place in a batch. None: the call goes at once, as it is."""
        now = time.monotonic()
        group.arrivals.arrive(now)
        load = Load(len(asked.items), sum(asked.tokens), asked.size)
        if load.fits(self._settings) and self._is_masked(asked):
            return self._alone(group, call, request, asked, load)
        if group.batch is not None and not group.batch.load.plus(load).fits(self._settings):
            self._send(group)
        if group.batch is None:
            alone = load.full(self._settings) or not load.fits(self._settings)
            if alone or not self._doubt.allows(now) or not group.arrivals.waits(group.under_way):
                return self._alone(group, call, request, asked, load)
            group.batch = Batch(self._options.most, partial(self._ended, group))
            group.opened = now
            self._set_timer(group)
        member = group.batch.join(call, request, asked, load)
        if group.batch.load.full(self._settings):
            self._send(group)
        return member

    def _is_masked(self, asked: Asked) -> bool:
        if not self._options.masked or asked.kind != b"text":
            return False
        texts = map(_text, asked.items)
        return any(find(text) for text in texts for find in self._options.masked)

    def _alone(
        self, group: _Group, call: Call, request: Request, asked: Asked, load: Load
    ) -> Member | None:
        """A call without items to drop goes as it is; else it is a batch by itself."""
        if not asked.empty:
            return None
        batch = Batch(self._options.most, partial(self._ended, group))
        member = batch.join(call, request, asked, load)
        self._begin(group, batch)
        return member

    def _set_timer(self, group: _Group) -> None:
        loop = asyncio.get_running_loop()
        wait = group.arrivals.due(group.opened) - time.monotonic()
        group.timer = loop.call_later(max(0.0, wait), self._due, group)

    def _due(self, group: _Group) -> None:
        """The time of the open batch may be over."""
        group.timer = None
        if group.batch is None:
            return
        early = group.arrivals.due(group.opened) - time.monotonic()
        if group.batch.members and early > _EARLY:
            self._set_timer(group)
        else:
            self._send(group)

    def _send(self, group: _Group) -> None:
        """Close the open batch and send it."""
        batch, group.batch = group.batch, None
        timer, group.timer = group.timer, None
        if timer is not None:
            timer.cancel()
        if batch is None or not batch.members:
            return
        alone = len(batch.members) == 1
        group.arrivals.waited(in_vain=alone)
        if alone and not batch.members[0].asked.empty:
            batch.members[0].go_alone()
            return
        self._begin(group, batch)

    def _begin(self, group: _Group, batch: Batch) -> None:
        group.under_way += 1
        self._stats.batched.items.observe(batch.load.items)
        batch.send(self._inner)

    def _ended(self, group: _Group, batch: Batch, outcome: Outcome) -> None:
        """Count what became of a joint call."""
        group.under_way -= 1
        self._stats.batched.ended[outcome] += 1
        if outcome == "answered":
            self._stats.saved.calls["batched"] += batch.sent - 1
            self._doubt.worked()
        elif outcome in ("refused", "unread"):
            self._doubt.gained_nothing(time.monotonic())
