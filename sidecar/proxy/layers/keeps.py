"""Keep replies that are whole and may be given again. The innermost part of the cache."""

from __future__ import annotations

import random
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.http.keys import is_key
from sidecar.http.message import NO_BODY
from sidecar.http.semantics import tokens
from sidecar.policy.cache import NEGATIVE, CacheSettings, allowed
from sidecar.policy.lru import Lru
from sidecar.proxy.reply import observed
from sidecar.proxy.stored import StoredReply, lines_to_keep, replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.errors import CallError
    from sidecar.http.message import ResponseHead
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.layers.shared_replies import Claim, SharedReplies
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_NEGATIVE_SHARE: Final = 4
"""Errors have a quarter of the memory to themselves, so that they push no answers out."""
_AGAIN: Final = frozenset({"bad_request", "context_length", "content_filter"})
"""Failures that the same call meets again."""


class Memory:
    """The replies that this process keeps, of all routes: at most *most* bytes."""

    def __init__(self, most: int) -> None:
        self._replies: Lru[bytes, StoredReply] = Lru(0)
        self._errors: Lru[bytes, StoredReply] = Lru(0)
        self.shared: SharedReplies | None = None
        """Replies that other sidecars keep too; a purge is for these as well."""
        self.resize(most)

    def __repr__(self) -> str:
        return f"<Memory of {self.entries} replies, {self.size} bytes>"

    @property
    def entries(self) -> int:
        """Number of replies."""
        return len(self._replies) + len(self._errors)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._replies.size + self._errors.size

    @property
    def evicted(self) -> int:
        """Replies that made room for others."""
        return self._replies.evicted + self._errors.evicted

    def resize(self, most: int) -> None:
        """Have room for *most* bytes from now on."""
        errors = most // _NEGATIVE_SHARE
        self._errors.resize(errors)
        self._replies.resize(most - errors)

    def get(self, key: bytes) -> StoredReply | None:
        """Return the reply under *key*."""
        return self._replies.get(key) or self._errors.get(key)

    def put(self, key: bytes, reply: StoredReply) -> None:
        """Keep *reply*, in the place of an earlier one."""
        self.drop(key)
        kept = self._errors if reply.status in NEGATIVE else self._replies
        kept.put(key, reply, reply.size)

    def drop(self, key: bytes) -> None:
        """Forget *key*."""
        self._replies.drop(key)
        self._errors.drop(key)

    def purge(self, route: str | None, model: str | None) -> int:
        """Forget the replies of *route* and *model* (None: of any); return their number."""

        def fits(reply: StoredReply) -> bool:
            return route in (None, reply.route) and model in (None, reply.model)

        if self.shared is not None:
            self.shared.purge(route, model)
        return self._replies.drop_if(fits) + self._errors.drop_if(fits)


class Rules(NamedTuple):
    """Which replies of a route are kept."""

    route: str
    settings: CacheSettings
    headers: frozenset[bytes]
    """Lower-case names of the request headers that the key depends on."""
    shared: bool
    paced: bool = False
    """Whether a kept stream comes as slowly as it did."""

    def life(self, head: ResponseHead, stream: bool) -> float:
        """Return for how long a reply with *head* would be fresh; 0: it is not kept."""
        fields, settings = head.fields, self.settings
        if head.status != 200 and not (head.status in NEGATIVE and settings.negative > 0):
            return 0.0
        if head.body == NO_BODY or b"content-encoding" in fields.known:
            return 0.0
        vary = fields.get(b"vary")
        if vary is not None and not all(map(self._covers, tokens(vary))):
            return 0.0
        said = inf
        if settings.obeys:
            control = fields.get(b"cache-control")
            said = allowed(control, shared=self.shared, stream=stream)
        return settings.life(head.status, said, random.random())

    def _covers(self, name: bytes) -> bool:
        """Whether calls with the same key have the same value of header *name*."""
        if name in self.headers or name == b"accept-encoding":  # which is always the same
            return True
        return not self.shared and is_key(name)


class Keeps:
    """Outside all attempts, inside single flight: each upstream call is kept once."""

    def __init__(
        self, inner: Layer, rules: Rules, memory: Memory, shared: SharedReplies | None = None
    ) -> None:
        """*shared*: replies are also looked for there, and kept."""
        self._inner = inner
        self._rules = rules
        self._memory = memory
        self._shared = shared

    def __repr__(self) -> str:
        return f"<Keeps replies of {self._rules.route}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Have the reply recorded if it may be kept."""
        key, shared, rules = request.key, self._shared, self._rules
        assert key is not None
        if shared is None or request.anew:
            return await self._fetch(call, request, key, partial(self._keep, key))
        name = shared.name(key, rules.route, call.model)
        found = await shared.obtain(call, key, name, rules.settings)
        if isinstance(found, StoredReply):
            self._memory.put(key, found)
            call.operation = found.operation
            return replay(call, found, time.time() - found.stored, paced=rules.paced)
        return await self._fetch(call, request, key, partial(self._keep_and_settle, found, key))

    async def _fetch(
        self,
        call: Call,
        request: Request,
        key: bytes,
        keep: Callable[[StoredReply | None], None],
    ) -> Reply:
        """Ask the upstream. *keep* is called once, with the reply if it may be kept."""
        try:
            reply = await self._inner(call, request)
        except BaseException:
            keep(None)
            raise
        head = reply.head
        stream = b"event-stream" in head.fields.known.get(b"content-type", b"")
        life = self._rules.life(head, stream)
        if life <= 0.0 or reply.attempt is None:
            keep(None)
            return reply
        recording = _Recording(self._rules, keep, call, reply, life, stream)
        kept = observed(reply, recording)
        reply.on_settled(recording.settled)
        return kept

    def _keep(self, key: bytes, stored: StoredReply | None) -> None:
        if stored is not None:
            self._memory.put(key, stored)

    def _keep_and_settle(self, claim: Claim, key: bytes, stored: StoredReply | None) -> None:
        self._keep(key, stored)
        claim.settle(stored)


class _Recording:
    """A tap that records one reply. It is kept when it is whole, and was read to be complete."""

    def __init__(
        self,
        rules: Rules,
        keep: Callable[[StoredReply | None], None],
        call: Call,
        reply: Reply,
        life: float,
        stream: bool,
    ) -> None:
        self._rules = rules
        self._keep: Callable[[StoredReply | None], None] | None = keep
        self._call = call
        self._head = reply.head
        self._attempt = reply.attempt
        self._life = life
        self._stream = stream
        self._pieces: list[bytes] = []
        self._times: list[int] = []
        self._left = rules.settings.most
        self._began = time.monotonic()
        self._ended = self._settled = False

    def data(self, data: bytes) -> None:
        """Keep *data*, unless it is too much by now."""
        self._left -= len(data)
        if self._left < 0:
            self._drop()
        elif data:
            self._pieces.append(data)
            if self._stream:
                self._times.append(round((time.monotonic() - self._began) * 1e3))

    def end(self, error: CallError | None) -> None:
        """The body is whole, or never will be."""
        if error is not None:
            self._drop()
        self._ended = True
        self._finish()

    def settled(self) -> None:
        """What the reply has said is known."""
        self._settled = True
        self._finish()

    def _drop(self) -> None:
        self._settle(None)

    def _settle(self, stored: StoredReply | None) -> None:
        keep, self._keep = self._keep, None
        self._pieces = []
        if keep is not None:
            keep(stored)

    def _finish(self) -> None:
        if self._keep is not None and self._ended and self._settled:
            self._settle(self._made())

    def _made(self) -> StoredReply | None:
        """The reply, if it was read to be whole."""
        said = None if self._attempt is None else self._attempt.said
        if said is None:
            return None
        if self._head.status in NEGATIVE:
            if said.failure is not None and said.failure.kind not in _AGAIN:
                return None
        elif said.verdict != "complete":
            return None
        call = self._call
        pieces = self._pieces if self._stream else [b"".join(self._pieces)]
        return StoredReply(
            self._head.status,
            self._head.reason,
            lines_to_keep(self._head),
            self._stream,
            pieces,
            self._times,
            time.time(),
            self._life,
            self._rules.route,
            call.model or said.model or "",
            said.model or call.model or "",
            call.operation,
            said.usage,
        )
