"""What sidecars tell each other through a store, in rounds beside the calls.

Everything that is shared takes part in the same rounds: one exchange with the store, twice a
second, or at once if a call needs an answer. No call waits longer than `WAIT` for one, and none
waits while the store does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sidecar.store.base import Run, StoreError, script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sidecar.observe.store_stats import ExchangeStats
    from sidecar.store.base import Script, Scripts

_log: Final = logging.getLogger("sidecar.store")
WAIT: Final = 0.002
"""Seconds that a call waits for an answer."""
_TURNS: Final = 3
"""Turns of the loop that an answer gets which came in time, while the loop was busy."""
EVERY: Final = 0.5
"""Seconds between rounds."""
_RETRY_MOST: Final = 5.0
_LAST: Final = 1.5
"""Seconds that the last round gets."""
_PRESENT: Final = 10
"""Seconds for which a sidecar that says nothing counts as present."""

_GREET: Final = script("""
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
local first = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '+inf', 'LIMIT', 0, 1)[1]
if not first then
  first = 'life ' .. ARGV[3]
  redis.call('ZADD', KEYS[1], '+inf', first)
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return {time[1], time[2], redis.call('ZCARD', KEYS[1]) - 1, first}
""")
"""Says that we are here. The member with the highest score names the life of the store's memory:
where it is another one, what the store knew is lost."""
_LEAVE: Final = script("""
redis.call('ZREM', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local first = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '+inf', 'LIMIT', 0, 1)[1]
return {time[1], time[2], redis.call('ZCARD', KEYS[1]) - 1, first or ''}
""")
"""Says that we go."""


class Question(NamedTuple):
    """A run of a script, and who is told its reply."""

    run: Run
    told: Callable[[Any], None]


class Party(Protocol):
    """State that is shared through an exchange."""

    def questions(self) -> Sequence[Question]:
        """Return what is to be asked in the round that begins now.

        If a round fails, the store may have answered it or not: what is asked must be such that
        asking it again does not count twice.
        """

    def lost(self) -> None:
        """The store has lost what it was told. Everything is to be told again."""

    def ended(self) -> None:
        """A round is over, and all replies are told."""


class Exchange:
    """Talks with *store*. Names begin with *prefix*, and are digests with *secret*."""

    def __init__(self, store: Scripts, prefix: str, secret: bytes, stats: ExchangeStats) -> None:
        self._store = store
        self._prefix = prefix
        self._secret = secret
        self.stats = stats
        self.member = secrets.token_hex(8)
        """Names this process."""
        self.peers = 1
        """Sidecars that share, this one too, as far as known."""
        self.answers = False
        """Whether the store has answered the last round."""
        self.offset = 0.0
        """Seconds by which the store's clock is ahead of this machine's."""
        self._life: bytes | None = None
        self._parties: dict[Party, bool] = {}
        """Whether it is to leave after a round."""
        self._next: asyncio.Future[None] | None = None
        """The end of the next round to begin."""
        self._overdue = False
        """A call has waited in vain for the round that is under way."""
        self._failures = 0
        self._round: asyncio.Task[None] | None = None
        """The one that is under way."""
        self._asked = False
        """Whether another is wanted as soon as it is over."""
        self._timer: asyncio.TimerHandle | None = None
        """For the next."""
        self._retired = False

    def __repr__(self) -> str:
        return f"<Exchange with {self._store!r}, {self.peers} peers>"

    def key(self, kind: str, *names: str) -> str:
        """Return the key of what has these names. They can't be read from it."""
        parts = "".join(f"{len(name)}:{name}" for name in names)
        digest = blake2b(parts.encode(), key=self._secret[:64], digest_size=16).hexdigest()
        # No colon behind the prefix: a purge of the cache matches all that have one.
        return f"{self._prefix}/1/{kind}/{digest}"

    def now(self) -> float:
        """Return the time of day by the store's clock, as far as known."""
        return time.time() + self.offset

    def start(self) -> None:
        """Begin with the rounds."""
        if self._round is None and self._timer is None:
            self._begin()

    def join(self, party: Party) -> None:
        """Let *party* take part."""
        self._parties[party] = False

    def leave(self, party: Party) -> None:
        """Let *party* take part in one more round that succeeds."""
        if party in self._parties:
            self._parties[party] = True
            self.ask()

    def ask(self) -> None:
        """Have the next round now; if the store does not answer, when it is due."""
        if self._round is not None:
            self._asked = True
        elif not self._failures:
            self._begin()

    async def soon(self) -> None:
        """Wait until a round is over that begins from now on, at most `WAIT`."""
        if self._failures or self._overdue or self._retired:
            return
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        told = self._next
        self.ask()
        await asyncio.wait((told,), timeout=WAIT)
        for _ in range(_TURNS):
            if not told.done():
                await asyncio.sleep(0)
        if not told.done():
            self._overdue = True
            self.stats.results["late"] += 1

    def retire(self) -> asyncio.Future[None]:
        """Tell the store what is left and close it; what is returned is done then."""
        self._retired = True
        if self._timer is not None:
            self._timer.cancel()
        return asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                if self._round is not None:
                    await self._round
                if self.answers:
                    await self._exchange(_LEAVE)
        await self._store.close()

    def _begin(self) -> None:
        if self._retired:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asked = False
        self._round = asyncio.ensure_future(self._exchange(_GREET))
        self._round.add_done_callback(self._over)

    def _over(self, _: asyncio.Task[None]) -> None:
        self._round = None
        wait = EVERY
        if self._failures:
            wait = min(_RETRY_MOST, EVERY * 2.0 ** min(self._failures - 1, 8))
            wait *= 1 + 0.2 * random.random()  # not all of them at once
        elif self._asked:
            wait = 0.0
        if not self._retired:
            self._timer = asyncio.get_running_loop().call_later(wait, self._begin)

    async def _exchange(self, greet: Script) -> None:
        """Ask once. Never raises."""
        told, self._next = self._next, None
        began, unix = time.monotonic(), time.time()
        leaving = [party for party, leaves in self._parties.items() if leaves]
        first = Run(
            greet, f"{self._prefix}/1/members", (self.member, _PRESENT, secrets.token_hex(8))
        )
        try:
            questions = [question for party in self._parties for question in party.questions()]
            replies = await self._store.run([first, *(question.run for question in questions)])
            took = time.monotonic() - began
            self.stats.seconds.observe(took)
            self._greeted(replies[0], unix + took / 2)
            for question, reply in zip(questions, replies[1:], strict=True):
                question.told(reply)
            for party in leaving:
                del self._parties[party]
        except StoreError as error:
            self._failed(str(error))
        except Exception as error:
            _log.exception("internal error in what is shared")
            self._failed(repr(error))
        finally:
            if told is not None and not told.done():
                told.set_result(None)
        for party in tuple(self._parties):
            party.ended()

    def _greeted(self, reply: Any, unix: float) -> None:
        seconds, micros, peers, life = reply
        self.offset = int(seconds) + int(micros) / 1e6 - unix
        self.peers = self.stats.peers = max(1, int(peers))
        if self._life not in (None, life):
            _log.warning("the shared store has lost what it knew: it is told again")
            self.stats.results["lost"] += 1
            for party in self._parties:
                party.lost()
        self._life = life
        self._failures = 0
        self._overdue = False
        self.answers = True
        self.stats.results["answered"] += 1
        if self.stats.alone:
            _log.info("the shared store answers again")
        self.stats.alone = False

    def _failed(self, error: str) -> None:
        self._failures += 1
        self.stats.results["failed"] += 1
        self.stats.last_error = error[:200]
        self.answers = False
        if not self.stats.alone:
            self.stats.alone = True
            _log.warning(
                "the shared store does not answer: this sidecar goes by its own share",
                extra={"error": error[:200], "peers": self.peers},
            )
