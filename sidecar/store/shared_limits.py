"""Limits a minute that sidecars share: leases from a window that the store has."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakSet

from sidecar.policy.leases import LEASE, Answer, Link, SharedMinute
from sidecar.policy.shared_meter import SharedMeter
from sidecar.store.base import Run, script
from sidecar.store.exchange import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sidecar.policy.meter import Bounds
    from sidecar.policy.minute import Minute
    from sidecar.policy.shared_meter import Message
    from sidecar.store.exchange import Exchange

_MOST: Final = 256
"""Routes, models and clients that are asked for in a round."""

LEASES: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1])
local member, number, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function field(name)
  local raw = redis.call('HGET', KEYS[1], name)
  return raw and cmsgpack.unpack(raw)
end
local me = field(member)
if me and me[1] == number then return me[4] end
local windows, counted = field('w') or {}, field('n') or {0, 0}
local count = counted[1] + (me and 0 or 1)
if now - counted[2] >= 10 then
  count = 1
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if #all[i] > 1 and all[i] ~= member then
      if cmsgpack.unpack(all[i + 1])[2] < now - 61 then
        redis.call('HDEL', KEYS[1], all[i])
      else
        count = count + 1
      end
    end
  end
  counted[2] = now
end
counted[1] = count
local grants, told = {}, {}
for _, part in ipairs(cjson.decode(ARGV[4])) do
  local kind, limit, spent, mends, keep, need, want = unpack(part)
  local window = windows[kind] or {}
  if me and me[3][kind] and window[me[2]] then
    window[me[2]] = window[me[2]] - me[3][kind]
  end
  for i = 1, #mends, 2 do
    if mends[i] >= now - 60 then
      window[mends[i]] = (window[mends[i]] or 0) + mends[i + 1]
    end
  end
  for i = 1, #spent, 2 do
    local second = now - spent[i]
    window[second] = (window[second] or 0) + spent[i + 1]
  end
  local sum, leased, past = 0, 0, {}
  for second, amount in pairs(window) do
    if second < now - 60 or amount == 0 then
      window[second] = nil
    else
      sum = sum + amount
      if second > now then leased = leased + amount else past[#past + 1] = second end
    end
  end
  local free = limit - sum
  local grant = math.min(want, free, math.max(keep, need, math.floor(free / count)))
  if grant > 0 then
    window[now + life] = (window[now + life] or 0) + grant
  else
    grant = 0
  end
  local after, lack = 0, need - free - leased
  if need > free and lack <= 0 then
    after = 1
  elseif lack > 0 then
    table.sort(past)
    for _, second in ipairs(past) do
      lack = lack - window[second]
      if lack <= 0 then
        after = second + 61 - now
        break
      end
    end
  end
  windows[kind] = window
  grants[kind] = grant
  told[#told + 1] = {kind, grant, math.max(0, free - grant), after}
end
local reply = cjson.encode({now, me and 1 or 0, count, told})
redis.call(
  'HSET', KEYS[1], 'w', cmsgpack.pack(windows), 'n', cmsgpack.pack(counted),
  member, cmsgpack.pack({number, now + life, grants, reply})
)
redis.call('PEXPIRE', KEYS[1], (life + 62) * 1000)
return reply
"""
"""Takes what a member has spent, and gives it a new lease in place of its old one.

The fields are what counts in each second of the last minute, by kind (w); how many members there
are, and when they were counted (n); and of each member its last message, the second in which its
lease ends (and in which that counts), the lease, and the reply. A member gets what it wants of what
is left; where others use the limit too, at least what a call needs, what it has already, or an
equal part.
"""
_LEASES: Final = script(LEASES)


class SharedLimits:
    """The limits of a route at an upstream, and what the exchange has to do for them."""

    def __init__(self, exchange: Exchange, route: str, upstream: str) -> None:
        self._exchange = exchange
        self._names = route, upstream
        self._link = Link()
        self._meters: WeakSet[SharedMeter] = WeakSet()
        self._wanting: WeakKeyDictionary[SharedMeter, None] = WeakKeyDictionary()
        """Those with something to tell or to ask for, that were not asked for longest first.

        A client that is forgotten is forgotten here too: however long the store does not answer,
        there are no more of them than the limits remember.
        """
        self._last: tuple[SharedMeter, ...] = ()
        """Those that are told of although nobody uses them any more."""
        self._made = 0
        self._leaves = False
        self.advance: Callable[[], None] | None = None
        """Called when calls may go that wait."""

    def __repr__(self) -> str:
        return f"<SharedLimits of {self._names}, {len(self._wanting)} meters>"

    @property
    def answers(self) -> bool:
        """Whether the store does. If it does not, the limits go by this sidecar's share."""
        return self._exchange.answers

    @property
    def peers(self) -> int:
        """The sidecars that share, as far as known."""
        return self._exchange.peers

    def meter(self, bounds: Bounds) -> SharedMeter:
        """Make what counts the calls of a route, model or client."""
        self._made += 1
        member = f"{self._exchange.member}.{self._made}"
        meter = SharedMeter(bounds, self._link, member, self._wants)
        self._meters.add(meter)
        return meter

    async def ready(self, needed: Iterable[tuple[Minute, int]]) -> None:
        """See to it that what a call needs is in a lease, if there is so much left.

        Waits 2 ms at most, and only where that is not known here. The call is to be decided on at
        once, and then `decided` called.
        """
        now = time.monotonic()
        lacking = [
            (minute, amount)
            for minute, amount in needed
            if isinstance(minute, SharedMinute) and minute.asks(amount, now)
        ]
        if lacking:
            for minute, amount in lacking:
                minute.seek(amount)
            await self._exchange.soon()
            now = time.monotonic()
            self._link.alone = any(minute.asks(amount, now) for minute, amount in lacking)

    def decided(self) -> None:
        """The call is decided on."""
        self._link.alone = False

    def start(self) -> None:
        """Take part in the exchange."""
        self._exchange.join(self)

    def retire(self) -> None:
        """Give leases back in one more round."""
        self._leaves = True
        self._last = tuple(self._meters)
        for meter in self._last:
            self._wanting[meter] = None
        self._exchange.leave(self)

    # -- the exchange's party --

    def questions(self) -> list[Question]:
        """Tell what was spent, and ask for leases."""
        self._link.peers = self._exchange.peers
        now, questions = time.monotonic(), []
        for meter in list(self._wanting)[:_MOST]:
            del self._wanting[meter]
            message = meter.message(now, last=self._leaves)
            if message is not None:
                self._wanting[meter] = None  # until all is told
                questions.append(self._question(meter, message))
        return questions

    def lost(self) -> None:
        """Tell the store again what it has lost."""
        now = time.monotonic()
        for meter in self._meters:
            meter.restore(now)

    def ended(self) -> None:
        """Calls that wait may go now."""
        if self.advance is not None:
            self.advance()

    def _wants(self, meter: SharedMeter, urgent: bool) -> None:
        self._wanting.setdefault(meter)
        if urgent:
            self._exchange.ask()

    def _question(self, meter: SharedMeter, message: Message) -> Question:
        parts = [
            [kind, part.limit, part.spent, part.mends, part.keep, part.need, part.want]
            for kind, part in message.parts.items()
        ]
        key = self._exchange.key("limit", *self._names, *meter.name)
        arguments = (meter.member, message.number, LEASE, json.dumps(parts))
        return Question(Run(_LEASES, key, arguments), partial(self._told, meter))

    def _told(self, meter: SharedMeter, reply: Any) -> None:
        second, known, peers, told = json.loads(reply)
        answers = {int(kind): Answer(int(granted), int(left), float(after))
                   for kind, granted, left, after in told}  # fmt: skip
        meter.answered(answers, int(second), int(peers), time.monotonic(), known=bool(known))
