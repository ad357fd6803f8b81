"""What viewers of the live page get: once all, then what has changed.

It is computed in the admin server's thread, and only while there is a viewer.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from sidecar import __version__
from sidecar.control.live.routes import configured, numbers
from sidecar.control.live.seen import choose, complete_since, history, seen_by_route, summary
from sidecar.control.live.view import (
    Clock,
    Row,
    View,
    budget_row,
    endpoint_row,
    listener_row,
    upstream_row,
)

if TYPE_CHECKING:
    from sidecar.control.inspected import Inspected
    from sidecar.observe.record import CallRecord
    from sidecar.observe.stats import RouteStats

T = TypeVar("T")
Ask = Callable[[Callable[[], T]], Awaitable[T]]
"""Calls a function that may wait for the data plane, in a thread that may wait."""
Tables = dict[str, dict[str, Row]]

VERSION: Final = 1
"""Of the messages' form."""
_FIRST_CALLS: Final = 100
"""Calls in the first message."""
_CALLS: Final = 100
"""Calls in each later one."""
_AT_ONCE: Final = 50
"""Rows that are made before the admin server's loop, and the data plane, get their turn."""
_PAGE: Final = os.sysconf("SC_PAGESIZE")
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Feed:
    """The messages of *inspected*. `begin`, then a `step` for each message."""

    def __init__(self, inspected: Inspected, ask: Ask[Any], token: str) -> None:
        self._inspected = inspected
        self._ask = ask
        self._token = token
        self._tables: Tables = {}
        self._view = View((), {}, draining=False)
        self._config: str | None = None
        self._routes: dict[str, Row] = {}
        self._told: object = None
        """The mark of the calls that were told of."""
        self._answers = True

    async def begin(self) -> None:
        """Collect all for the first time."""
        _, self._told = self._inspected.calls.since(None)
        self._tables = await self._collect()

    def status(self) -> dict[str, Any]:
        """Return everything but the calls, as of the last step: lists in their order."""
        return {
            "at": time.time(),
            "state": self._tables["state"][""],
            **{name: list(of.values()) for name, of in self._tables.items() if name != "state"},
        }

    def snapshot(self) -> bytes:
        """Return the message with everything, as of the last step."""
        latest, now = self._inspected.calls.latest(), time.time()
        ended = sum(row["calls"] for row in self._tables["routes"].values())
        since = complete_since(latest, ended, self._inspected.stats.started)
        return _message(
            "snapshot",
            {
                "v": VERSION,
                "at": now,
                "token": self._token,
                "tables": self._tables,
                "history": history(latest, now),
                "since": min(since, now),
                "calls": [summary(call) for call in choose(latest, _FIRST_CALLS)],
            },
        )

    async def step(self) -> bytes:
        """Collect again; return the message with what has changed."""
        tables = await self._collect()
        before, self._tables = self._tables, tables
        new = self._new_calls()
        told = choose(new, _CALLS)
        return _message(
            "delta",
            {
                "at": time.time(),
                "tables": changes(before, tables),
                "seen": seen_by_route(new),
                "calls": [summary(call) for call in told],
                "more_calls": len(new) - len(told),
            },
        )

    def _new_calls(self) -> list[CallRecord]:
        new, self._told = self._inspected.calls.since(self._told)
        return new

    async def _collect(self) -> Tables:
        try:
            self._view = await self._ask(self._inspected.view)
            self._answers = True
        except TimeoutError:  # its rows stay what they were
            self._answers = False
        stats, clock = self._inspected.stats, Clock.now()
        if stats.reloads.config_hash != self._config:
            self._routes = configured(await self._ask(self._inspected.routes))
            self._config = stats.reloads.config_hash
        tables: Tables = {"state": {"": self._state(clock)}}
        tables["routes"] = await self._rows(self._route_rows())
        tables["endpoints"] = await self._rows(self._endpoint_rows(clock))
        tables["upstreams"] = {
            upstream.name: upstream_row(upstream, stats.upstream(upstream.name), number, clock)
            for number, (upstream, _) in enumerate(self._view.upstreams)
            if upstream.name in stats.upstreams
        }
        tables["budgets"] = {
            name: budget_row(budget, clock) for name, budget in stats.budgets.copy().items()
        }
        tables["passed"] = dict(self._passed_rows())
        tables["listeners"] = {
            name: listener_row(name, of, self._view.modes.get(name, ""))
            for name, of in stats.listeners.copy().items()
        }
        return tables

    async def _rows(self, rows: Iterable[tuple[str, Row]]) -> dict[str, Row]:
        made = {}
        for number, (key, row) in enumerate(rows, 1):
            made[key] = row
            if not number % _AT_ONCE:
                await asyncio.sleep(0)  # selects, and so lets other threads run
        return made

    def _route_rows(self) -> Iterable[tuple[str, Row]]:
        counts: dict[str, list[RouteStats]] = {}
        for (name, _), of in self._inspected.stats.routes.copy().items():
            counts.setdefault(name, []).append(of)
        for name in (*self._routes, *(counts.keys() - self._routes.keys())):
            shown = self._routes.get(name) or {"n": len(self._routes), "name": name}
            yield name, shown | numbers(counts.get(name, ()))

    def _endpoint_rows(self, clock: Clock) -> Iterable[tuple[str, Row]]:
        endpoints = (each for _, members in self._view.upstreams for each in members)
        for number, each in enumerate(endpoints):
            yield f"{each.upstream}\n{each.name}", endpoint_row(each, number, clock)

    def _passed_rows(self) -> Iterable[tuple[str, Row]]:
        for listener, of in self._inspected.stats.listeners.copy().items():
            for (host, decision), count in of.passed_hosts.shown().items():
                row = {"listener": listener, "host": host, "decision": decision, "number": count}
                yield f"{listener}\n{host}\n{decision}", row

    def _state(self, clock: Clock) -> Row:
        inspected, stats = self._inspected, self._inspected.stats
        ready, reason = inspected.ready()
        reloads = stats.reloads
        return {
            "version": __version__,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "started": stats.started,
            "ready": ready,
            "reason": reason,
            "draining": self._view.draining,
            "blocked_s": 0 if self._answers else round(inspected.still()),
            "log_level": inspected.log_level(),
            "hash": reloads.config_hash,
            "loaded_at": reloads.last_accepted,
            "config_error": reloads.last_error,
            "config_warnings": reloads.warnings,
            "config_awaited": reloads.awaited,
            "reloads": reloads.accepted,
            "refused_reloads": reloads.rejected,
            "sources": [
                {
                    "name": source.name,
                    "revision": source.revision,
                    "heard_at": round(source.last_heard),
                    "error": source.last_error,
                }
                for source in stats.sources
            ],
            "calls_kept": len(inspected.calls),
            "log_dropped": stats.log_dropped,
            "cpu_s": round(time.process_time(), 2),
            "memory": _resident(),
        }


def changes(before: Tables, now: Tables) -> dict[str, dict[str, Any]]:
    """Return, by table: changed fields of rows under `set`, keys of rows that are gone."""
    changed: dict[str, dict[str, Any]] = {}
    for name, rows in now.items():
        old = before.get(name, {})
        of: dict[str, Any] = {}
        if differing := {
            key: difference
            for key, row in rows.items()
            if (difference := _difference(old.get(key), row))
        }:
            of["set"] = differing
        if gone := [key for key in old if key not in rows]:
            of["gone"] = gone
        if of:
            changed[name] = of
    return changed


def _difference(old: Row | None, new: Row) -> Row:
    if old is None:
        return new
    if old == new:
        return {}
    return {key: value for key, value in new.items() if key not in old or old[key] != value}


def _message(event: str, data: dict[str, Any]) -> bytes:
    """Make an event (WHATWG HTML, section 9.2.5). JSON has no line breaks."""
    try:
        body = _encode(data)
    except UnicodeEncodeError:  # half of a surrogate, as an error may quote a configuration
        body = json.dumps(msgspec.to_builtins(data, enc_hook=str)).encode()
    return b"event: %b\ndata: %b\n\n" % (event.encode(), body)


def _resident() -> int:
    """Return this process's resident memory in bytes, to the nearest 64 KiB."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return 0
    return pages * _PAGE >> 16 << 16
