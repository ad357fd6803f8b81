"""One screen about a sidecar: its state, configuration, listeners, routes, endpoints, budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sidecar.calls.grid import Cell, Column, grid
from sidecar.calls.style import BOLD, FAINT, GREEN, RED, YELLOW, Style, pad, width
from sidecar.observe.told import milliseconds
from sidecar.terminal.told import number, share, share_colour, size, span, state, state_colour

Row = Mapping[str, Any]
_LABEL: Final = 10
_LEAST: Final = 10
_MOST: Final = 40
"""Routes and endpoints that are shown, the ones with problems or calls first; JSON has all."""

LISTENERS: Final = (
    Column("LISTENER", least=8),
    Column("MODE"),
    Column("OPEN", right=True),
    Column("ACCEPTED", right=True, dropped=1),
    Column("REFUSED", right=True, dropped=2),
)
ROUTES: Final = (
    Column("ROUTE", least=8),
    Column("UPSTREAMS", least=8, dropped=2),
    Column("POLICY", least=6, dropped=1),
    Column("IN FLIGHT", right=True, dropped=4),
    Column("CALLS", right=True),
    Column("SUCCESS", right=True),
    Column("RETRIES", right=True, dropped=3),
)
ENDPOINTS: Final = (
    Column("UPSTREAM", least=8, dropped=6),
    Column("ENDPOINT", least=26, middle=True),
    Column("STATE"),
    Column("WEIGHT", right=True, dropped=1),
    Column("IN FLIGHT", right=True, dropped=3),
    Column("ATTEMPTS", right=True, dropped=2),
    Column("LATENCY", right=True, dropped=4),
    Column("REASON", least=10, dropped=5),
)
BUDGETS: Final = (
    Column("BUDGET", least=8),
    Column("SPENT", right=True),
    Column("OF", right=True),
    Column("PERIOD", dropped=2),
    Column("CLIENT", least=6, dropped=1),
    Column("WHEN SPENT", dropped=1),
)


def status(told: Row, columns: int, style: Style) -> str:
    """Show what `/status` has told."""
    return "\n".join(_lines(told, columns, style))


def _lines(told: Row, columns: int, style: Style) -> Iterator[str]:
    yield from head(told["state"], told["at"], columns, style)
    listeners = [_listener(each) for each in told["listeners"]]
    yield from _section(LISTENERS, listeners, columns, style)
    routes = sorted(told["routes"], key=lambda of: (not _failed(of), -of["calls"], of["n"]))
    shown = sorted(routes[:_MOST], key=lambda of: of["n"])
    yield from _section(ROUTES, [_route(each) for each in shown], columns, style, len(routes))
    endpoints = sorted(told["endpoints"], key=lambda of: (of["state"] == "in_use", of["n"]))
    shown = sorted(endpoints[:_MOST], key=lambda of: of["n"])
    cells = [_endpoint(each) for each in shown]
    yield from _section(ENDPOINTS, cells, columns, style, len(endpoints))
    for upstream in told["upstreams"]:
        yield from _upstream(upstream, columns, style)
    yield from _section(BUDGETS, [_budget(each) for each in told["budgets"]], columns, style)


def head(state_: Row, at: float, columns: int, style: Style) -> Iterator[str]:
    """Show the state of the process, and of its configuration."""
    word, colour = state_of(state_)
    facts = (
        f"sidecar {state_['version']}, up for {span(at - state_['started'])}, pid {state_['pid']}"
    )
    if state_["memory"]:
        facts += f", {size(state_['memory'])}"
    word = pad(style.fit(word, columns), _LABEL - 2)
    shown = style.fit(facts, max(_LEAST, columns - width(word) - 2))
    yield f"{style.paint(word, colour)}  {style.paint(shown, BOLD)}"
    loaded = span(at - state_["loaded_at"]) if state_["loaded_at"] else "never"
    yield _fact("config", f"{state_['hash']}, loaded {loaded} ago", columns, style)
    for source in state_["sources"]:
        heard = span(at - source["heard_at"]) if source["heard_at"] else ""
        text = f"{source['name']}, read {heard} ago" if heard else source["name"]
        yield _fact("source", text, columns, style)
        if source["error"]:
            yield _fact("", source["error"], columns, style, RED)
    for label, lines, colour in (
        ("refused", state_["config_error"].splitlines(), RED),
        ("awaited", state_["config_awaited"], YELLOW),
        ("doubtful", state_["config_warnings"], YELLOW),
    ):
        for line in lines[:5]:
            yield _fact(label if line is lines[0] else "", line, columns, style, colour)
        if len(lines) > 5:
            yield _fact("", f"and {len(lines) - 5} more", columns, style, colour)


def state_of(state_: Row) -> tuple[str, str]:
    """Return the state of the process in a word, and its colour."""
    if state_["blocked_s"]:
        return f"stands still for {state_['blocked_s']} s", RED
    if state_["ready"]:
        return "ready", GREEN
    return f"not ready: {state_['reason']}", YELLOW if state_["draining"] else RED


def _fact(label: str, text: str, columns: int, style: Style, colour: str = "") -> str:
    shown = style.paint(style.fit(text, max(_LEAST, columns - _LABEL)), colour)
    return f"{style.paint(pad(label, _LABEL), FAINT)}{shown}"


def _section(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    room: int,
    style: Style,
    count: int = 0,
) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield from grid(columns, rows, room, style)
    if count > len(rows):
        yield style.paint(style.fit(f"and {count - len(rows)} more (--json has all)", room), FAINT)


def _listener(of: Row) -> list[Cell]:
    refused = sum(of["refused"].values()) + sum(of["denied"].values())
    return [
        Cell(of["name"]),
        Cell(of["mode"]),
        Cell(number(of["open"])),
        Cell(number(of["accepted"])),
        Cell(number(refused) if refused else "", YELLOW),
    ]


def _route(of: Row) -> list[Cell]:
    ok, failed = _ok(of), _failed(of)
    retries = sum(of["retries"].values()) + sum(of["fallbacks"].values()) + of["hedges"]
    return [
        Cell(of["name"]),
        Cell(", ".join(of.get("upstreams", ()))),
        Cell(", ".join(of.get("policies", ()))),
        Cell(number(of["in_flight"]) if of["in_flight"] else ""),
        Cell(number(of["calls"])),
        Cell(share(ok, ok + failed), share_colour(ok, ok + failed)),
        Cell(number(retries) if retries else ""),
    ]


def _ok(route: Row) -> int:
    return int(route["outcomes"].get("ok", 0))


def _failed(route: Row) -> int:
    return int(route["outcomes"].get("failed", 0))


def _endpoint(of: Row) -> list[Cell]:
    return [
        Cell(of["upstream"]),
        Cell(of["name"]),
        Cell(state(of["state"]), state_colour(of["state"])),
        Cell(f"{of['weight']:g}" if of["weight"] != 1 else ""),
        Cell(number(of["in_flight"]) if of["in_flight"] else ""),
        Cell(number(of["attempts"])),
        Cell(milliseconds(of["latency_ms"]) if of["latency_ms"] else ""),
        Cell(of["reason"], FAINT),
    ]


def _upstream(of: Row, columns: int, style: Style) -> Iterator[str]:
    if of["panic"]:
        text = "every endpoint is out, so all of them are tried"
        yield _told(of["name"], text, columns, style, RED)
    queue = of["queue"]
    if queue and queue["queued"]:
        text = f"{queue['queued']} of {queue['max_queued']} calls wait in its queue"
        yield _told(of["name"], text, columns, style, YELLOW)
    for key in of["keys"]:
        if key["state"] != "in_use":
            text = f"key {key['name']} ({key['ends']}) is {state(key['state'])}"
            why = f": {key['refused']}" if key["refused"] else ""
            yield _told(of["name"], text + why, columns, style, YELLOW)


def _told(upstream: str, text: str, columns: int, style: Style, colour: str) -> str:
    return style.paint(style.fit(f"upstream {upstream}: {text}", columns), colour)


def _budget(of: Row) -> list[Cell]:
    spent = of["spent"] >= of["amount"]
    return [
        Cell(of["name"]),
        Cell(number(of["spent"]), RED if spent else ""),
        Cell(f"{number(of['amount'])} {of['unit']}"),
        Cell(f"{of['period']} ({of['per']})"),
        Cell(of["client"]),
        Cell(of["when_spent"]),
    ]
