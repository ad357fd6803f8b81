"""Paces that sidecars of one quota find together."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sidecar.policy.shared_pace import LAW, Share, SharedPace
from sidecar.store.base import Run, script
from sidecar.store.exchange import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.policy.pace import Pace
    from sidecar.policy.shared_pace import Report
    from sidecar.store.exchange import Exchange

NUMBERS: Final = json.dumps(LAW._asdict())
PACES: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local member, number = ARGV[1], tonumber(ARGV[2])
local report, law = cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local raw = redis.call('GET', KEYS[1])
local state = raw and cmsgpack.unpack(raw) or {at = now, stop = 0, refusals = 0, members = {}}
local members, rate = state.members, state.rate
local new = not members[member] or members[member][1] ~= number
members[member] = {number, report.sent, report.wanted, now + 5}
local sent, wanted, order = 0, 0, {}
for name, each in pairs(members) do
  if each[4] < now then
    members[name] = nil
  else
    sent, wanted = sent + each[2], wanted + each[3]
    order[#order + 1] = each[3]
  end
end
if not rate and report.known > 0 then
  rate, state.held = report.known, now
end
if report.refused > 0 and new then
  if now >= state.stop then
    if rate then
      rate, state.refusals = rate * (1 - law.takes), state.refusals + 1
    else
      rate = sent * (1 - law.first)
    end
    rate, state.slow, state.held = math.max(law.least, rate), report.refused == 2, now
  end
  state.stop = math.max(state.stop, now + report.stop)
elseif rate and wanted > rate then
  local due = math.max(law.fewest, law.scale * rate ^ law.falls)
  due = math.max(math.min(law.share * rate, due), law.search * 0.5 ^ state.refusals)
  if state.slow then due = due * law.slow end
  rate = rate * math.exp(math.min(1, law.takes * due * math.min(now - state.at, 2)))
  state.held = now
elseif rate and now - state.held > law.forget then
  rate, state.refusals = nil, 0
end
local level
if rate then
  table.sort(order)
  local left = rate
  for index, each in ipairs(order) do
    level = left / (#order - index + 1)
    if each > level then break end
    left = left - each
    level = each + left
  end
end
state.rate, state.at = rate, now
redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', 3600000)
return cjson.encode({level or -1, rate or 0, math.max(0, state.stop - now)})
"""
"""Has one pace for all, by the law of `aimd.py`, and says what is each one's share: the level up to
which demands are met."""
_PACES: Final = script(PACES)


_MOST: Final = 100
"""Models: callers may name any, and each is a question."""
_EACH: Final = 0.01
"""Seconds between two questions of a sidecar, for each that shares: the store looks at all."""
_RARELY: Final = 1.5


class SharedPaces:
    """The paces of a quota, of each model."""

    def __init__(self, exchange: Exchange, quota: str) -> None:
        self._exchange = exchange
        self._quota = quota
        self._paces: dict[str, tuple[SharedPace, Callable[[], None]]] = {}
        """By model; those that were not used for longest first."""
        self._asked = 0.0

    def __repr__(self) -> str:
        return f"<SharedPaces of {self._quota}, {len(self._paces)} models>"

    def use(self, model: str, pace: Pace, advance: Callable[[], None]) -> SharedPace:
        """Share *pace*, that of the calls for *model*. *advance* lets calls go that wait."""
        found = self._paces.pop(model, None)
        if found is None or found[0].pace is not pace:
            found = SharedPace(pace, self._exchange.ask), advance
            if len(self._paces) >= _MOST:
                del self._paces[next(iter(self._paces))]
        self._paces[model] = found
        return found[0]

    def start(self) -> None:
        """Take part in the exchange."""
        self._exchange.join(self)

    def retire(self) -> None:
        """Take part no more."""
        self._exchange.leave(self)

    # -- the exchange's party --

    def questions(self) -> list[Question]:
        """Tell what is sent, wanted and refused."""
        now, questions = time.monotonic(), []
        rests = now - self._asked < min(_RARELY, self._exchange.peers * _EACH)
        if rests and not any(shared.urgent for shared, _ in self._paces.values()):
            return []
        self._asked = now
        for model, (shared, _) in list(self._paces.items()):
            report = shared.report(now)
            if report is None:
                del self._paces[model]
            else:
                questions.append(self._question(model, shared, report))
        return questions

    def lost(self) -> None:
        """Tell the store again what it has lost."""
        for shared, _ in self._paces.values():
            shared.lost()

    def ended(self) -> None:
        """Calls that wait may go now."""
        for shared, advance in list(self._paces.values()):
            if shared.pace.waiting:
                advance()

    def _question(self, model: str, shared: SharedPace, report: Report) -> Question:
        key = self._exchange.key("pace", self._quota, model)
        arguments = (self._exchange.member, report.number, json.dumps(report._asdict()), NUMBERS)
        return Question(Run(_PACES, key, arguments), partial(_told, shared))


def _told(shared: SharedPace, reply: Any) -> None:
    level, rate, stop = json.loads(reply)
    share = Share(None if level < 0 else float(level), float(rate), float(stop))
    shared.answered(share, time.monotonic())
