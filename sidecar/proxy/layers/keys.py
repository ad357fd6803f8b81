"""Authenticate each attempt with one of several keys, which act as one.

It stands right around the attempt: a hedge and each retry choose a key for themselves. An attempt
that fails because of its key is made again at once with another key. That is no retry: it costs no
budget, and the provider had no work with it. Each key gets one attempt at most.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final

from sidecar.errors import AttemptError, NoAnswer, TraceRefused, forget_frames
from sidecar.llm.conversation import conversation_of
from sidecar.llm.waits import retry_after
from sidecar.policy.balance import stable_hash
from sidecar.policy.key_pool import DAILY, Key, KeyPool
from sidecar.policy.outcome import RATE_LIMITED
from sidecar.proxy.parameters import parameters_of
from sidecar.proxy.record import KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.layers.turns import Quota, Turn, Turns
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_log: Final = logging.getLogger("sidecar.proxy")
SOON: Final = 60.0
"""Seconds. Where keys are paced, a call may wait for one that cools down for less."""
_FORBIDDEN: Final = 403
_KINDS: Final = {
    401: "authentication",
    402: "money",
    _FORBIDDEN: "authentication",
    RATE_LIMITED: "rate_limit",
}
"""What a status means where the reply is not read."""


class Keys:
    """Sends attempts at *upstream* with the keys of *pool*, which all routes share."""

    def __init__(
        self,
        inner: Layer,
        pool: KeyPool,
        upstream: str,
        pace: tuple[Turns, Mapping[str, Quota]] | None = None,
    ) -> None:
        """*pace*: what gives attempts their turns, and the quota of each key by its name."""
        self._inner = inner
        self._pace = pace
        self._pool = pool
        self._upstream = upstream

    def __repr__(self) -> str:
        return f"<Keys of {self._upstream}: {self._pool!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the first reply that its key is not to blame for, or the last one."""
        if request.method == b"TRACE":
            raise TraceRefused(
                "TRACE is refused: the reply would show credentials that the sidecar adds"
            )
        model = request.model or ""
        point = _point(call, request) if len(self._pool.keys) > 1 else 0
        tried: list[Key] = []
        keys, reason = self._usable(request, point, tried), ""
        while True:
            key, turn = await self._turn(call, request, point, keys, tried)
            if tried:
                call.note(
                    "key", f"{key.name} after {tried[-1].name}, whose attempt came to {reason}"
                )
                request = request.replace(why=KEY, reason=reason)
            edited = request.edited(key.settings.edits)
            began, result = time.monotonic(), "given_up"
            try:
                if turn is None:
                    reply = await self._inner(call, edited)
                else:
                    reply = await turn.send(self._inner, call, edited)
                if reply.attempt is not None:
                    reply.attempt.key = key.name
                result = self._judge(key, model, began, reply)
                keys = self._others(call, request, point, key, tried, result)
                if not keys:
                    return reply
                reply.abandon()
                reason = str(reply.head.status)
            except NoAnswer as error:
                result = error.kind or "failed"
                self._blame(key, model, began, result, error.status, error.retry_after)
                keys = self._others(call, request, point, key, tried, result)
                if not keys:
                    raise
                reason = error.code
                forget_frames(error)
            except AttemptError:
                result = "failed"
                raise
            finally:
                key.count(result)

    def room(self, call: Call, request: Request) -> bool:
        """Whether another attempt would get its turn at the quota of some key at once."""
        if self._pace is None:
            return True
        turns, quotas = self._pace
        keys = self._usable(request, 0, ())
        return turns.room(call, request, [quotas[key.name] for key in keys])

    def _usable(self, request: Request, point: int, tried: Collection[Key]) -> Sequence[Key]:
        """Return the key for an attempt, or all from which turns may come, the first choice first.

        Empty: *tried* has all that help.
        """
        pool, model, now = self._pool, request.model or "", time.monotonic()
        home = None if request.home is None else pool.named(request.home.key)
        if home is not None:
            return (home,)
        if self._pace is not None:
            return pool.candidates(point, model, now, tried, SOON)
        key = pool.choose(point, model, now, tried)
        return () if key is None else (key,)

    async def _turn(
        self, call: Call, request: Request, point: int, keys: Sequence[Key], tried: Collection[Key]
    ) -> tuple[Key, Turn | None]:
        """Return the first of *keys* whose quota has a turn for the attempt, and that turn."""
        if self._pace is None:
            return keys[0], None
        turns, quotas = self._pace
        while True:
            own = {key: quotas[key.name] for key in keys}
            turn = await turns.take(call, request, tuple(dict.fromkeys(own.values())))
            key = next(key for key, quota in own.items() if quota is turn.quota)
            # Meanwhile it may have been refused.
            keys = self._usable(request, point, tried)
            if not keys or key in keys:
                return key, turn

    def _others(
        self, call: Call, request: Request, point: int, key: Key, tried: list[Key], result: str
    ) -> Sequence[Key]:
        """Return the keys for another attempt, after one with *key* came to *result*.

        Empty if there is none, or if another account does not have what the call asks for.
        """
        if result not in ("rate_limit", "authentication", "money") or call.body.streamed:
            return ()
        if request.home is not None:
            return ()
        if call.deadline is not None and time.monotonic() >= call.deadline:
            return ()
        tried.append(key)
        return self._usable(request, point, tried)

    def _judge(self, key: Key, model: str, began: float, reply: Reply) -> str:
        """Return what the attempt came to, and note what that says of its key."""
        status, failure = reply.head.status, reply.failure
        if status < 400:
            if self._pool.worked(key, model, began):
                self._tell("a key is in use again: the provider takes it", key)
            return "ok"
        kind = _KINDS.get(status, "other") if failure is None else failure.kind
        wait = None
        if kind == "rate_limit":
            if failure is not None:
                wait = failure.retry_after
                if wait is None and failure.hopeless:
                    wait = DAILY
            else:
                wait = retry_after(reply.head.fields, time.time())
        return self._blame(key, model, began, kind, status, wait)

    def _blame(
        self, key: Key, model: str, began: float, kind: str, status: int, wait: float | None
    ) -> str:
        """Note a failure of this *kind*. Return how the attempt is counted."""
        now = time.monotonic()
        if kind == "rate_limit":
            self._pool.limited(key, model, wait, began, now)
        elif kind == "authentication" and status == _FORBIDDEN:
            if self._pool.forbid(key, model, now):
                self._tell("a key is not used for a model: the provider forbids it", key)
        elif kind in ("authentication", "money"):
            why = f"{status} {kind}"
            if self._pool.refuse(key, why, now):
                self._tell("a key is not used any more: the provider refuses it", key, why=why)
        elif kind != "failed":
            return "other"
        return kind

    def _tell(self, what: str, key: Key, **more: str) -> None:
        _log.warning(what, extra={"upstream": self._upstream, "key": key.name, **more})


def _point(call: Call, request: Request) -> int:
    """Return a hash of the call's conversation or prompt cache; without these, a random number.

    A provider keeps the cache of a prompt for an account: with another key it may be cold. What
    only one account has is chosen for by its id.
    """
    if request.home is not None:
        return stable_hash(b"key:" + request.home.id.encode())
    name = conversation_of(call.head.fields)
    if name is None:
        asked = parameters_of(call)
        if asked is not None:
            name = asked.cache_key or conversation_of({}, asked)
    if name is None:
        return random.getrandbits(64)
    return stable_hash(b"key:" + name.encode("utf-8", "surrogatepass"))
