"""The picture of `sidecar top`: routes and endpoints, as far as the screen has room. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sidecar.calls.grid import Cell, Column, grid
from sidecar.calls.style import BOLD, FAINT, RED, YELLOW, Style, width
from sidecar.observe.told import milliseconds
from sidecar.terminal.status import state_of
from sidecar.terminal.told import number, share, share_colour, span, state, state_colour

if TYPE_CHECKING:
    from sidecar.terminal.board import Board, EndpointRates, RouteRates

ROUTES: Final = (
    Column("ROUTE", least=8),
    Column("CALLS/S", right=True),
    Column("SUCCESS", right=True, dropped=6),
    Column("TTFT P50", right=True, dropped=4),
    Column("P95", right=True, dropped=3),
    Column("TOKENS/MIN", right=True, dropped=5),
    Column("MONEY/MIN", right=True, dropped=2),
    Column("IN FLIGHT", right=True, dropped=2),
    Column("AGAIN", right=True, dropped=1),
)
ENDPOINTS: Final = (
    Column("UPSTREAM", least=8, dropped=6),
    Column("ENDPOINT", least=20, middle=True),
    Column("STATE"),
    Column("TRIES/S", right=True, dropped=5),
    Column("SUCCESS", right=True, dropped=3),
    Column("LATENCY", right=True, dropped=4),
    Column("IN FLIGHT", right=True, dropped=2),
    Column("REASON", least=10, dropped=1),
)
VIEWS: Final = ("both", "routes", "endpoints")
SORTS: Final[dict[str, str]] = {
    "n": "configuration",
    "c": "calls",
    "f": "failures",
    "t": "time",
    "k": "tokens",
    "m": "money",
}
"""Keys, and what they sort by."""
_KEYS: Final = (
    "q quit  tab view  p pause  arrows scroll  "
    "sort: c calls  f failures  t time  k tokens  m money  n none"
)


class Looks(NamedTuple):
    """What the user wants to see."""

    sort: str = "configuration"
    view: str = "both"
    scroll: int = 0
    paused: bool = False


def pressed(looks: Looks, key: str) -> Looks:
    """Return how *looks* changes with a key."""
    if key in SORTS:
        return looks._replace(sort=SORTS[key], scroll=0)
    if key == "tab":
        following = VIEWS[(VIEWS.index(looks.view) + 1) % len(VIEWS)]
        return looks._replace(view=following, scroll=0)
    if key == "p":
        return looks._replace(paused=not looks.paused)
    step = {"down": 1, "up": -1, "page_down": 10, "page_up": -10, "home": -(10**9)}.get(key)
    return looks if step is None else looks._replace(scroll=max(0, looks.scroll + step))


def picture(
    board: Board, looks: Looks, size: tuple[int, int], style: Style, lost: str = ""
) -> list[str]:
    """Draw the screen of *size*, columns and lines. *lost*: why nothing new comes."""
    columns, lines = size
    routes = [_route(each) for each in sorted_routes(board.routes(), looks.sort)]
    endpoints = [_endpoint(each) for each in sorted_endpoints(board.endpoints(), looks.sort)]
    drawn = _head(board, looks, columns, style, lost)
    room = max(2, lines - len(drawn) - 1)
    tables: list[tuple[Sequence[Column], list[list[Cell]]]] = []
    if looks.view != "endpoints":
        tables.append((ROUTES, routes))
    if looks.view != "routes":
        tables.append((ENDPOINTS, endpoints))
    for (heads, rows), part in zip(tables, _parts([len(r) for _, r in tables], room), strict=True):
        drawn += _table(heads, rows, looks.scroll, part, columns, style)
    drawn = drawn[: lines - 1]
    drawn += [""] * (lines - 1 - len(drawn))
    return [*drawn, style.paint(style.fit(_KEYS, columns), FAINT)]


def frame(board: Board, looks: Looks, columns: int, style: Style) -> str:
    """Draw all of it, for an output that is no screen."""
    count = len(board.routes()) + len(board.endpoints()) + 12
    drawn = picture(board, looks, (columns, count), style)[:-1]
    while drawn and not drawn[-1]:
        drawn.pop()
    return "\n".join([*drawn, ""])


def as_json(board: Board) -> dict[str, Any]:
    """Return the same numbers for programs."""
    return {
        "at": board.at,
        "ready": board.state["ready"],
        "routes": [_rounded(each._asdict()) for each in board.routes()],
        "endpoints": [_rounded(each._asdict()) for each in board.endpoints()],
    }


def _rounded(of: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 3) if isinstance(value, float) else value for name, value in of.items()
    }


def sorted_routes(routes: list[RouteRates], by: str) -> list[RouteRates]:
    """Sort *routes*; what is most comes first."""
    key: dict[str, Callable[[RouteRates], float]] = {
        "calls": lambda of: -(of.calls_s or 0),
        "failures": lambda of: -of.failed,
        "time": lambda of: -(of.first_p95_ms or 0),
        "tokens": lambda of: -(of.tokens_min or 0),
        "money": lambda of: -(of.cost_min or 0),
    }
    return sorted(routes, key=key[by]) if by in key else routes


def sorted_endpoints(endpoints: list[EndpointRates], by: str) -> list[EndpointRates]:
    """Sort *endpoints*; what is most comes first. They know neither tokens nor money."""
    key: dict[str, Callable[[EndpointRates], float]] = {
        "calls": lambda of: -(of.attempts_s or 0),
        "failures": lambda of: -of.failed,
        "time": lambda of: -of.latency_ms,
    }
    return sorted(endpoints, key=key[by]) if by in key else endpoints


def _parts(rows: Sequence[int], room: int) -> list[int]:
    """Give each table its lines, heads included; what one does not need, the other gets."""
    wanted = [count + 2 for count in rows]
    if len(wanted) == 1 or sum(wanted) <= room:
        return [min(each, room) for each in wanted]
    half = room // 2
    first = min(wanted[0], max(half, room - wanted[1]))
    return [first, room - first]


def _table(
    heads: Sequence[Column],
    rows: list[list[Cell]],
    scroll: int,
    lines: int,
    columns: int,
    style: Style,
) -> list[str]:
    room = lines - 2
    if not rows or room < 1:
        return []
    if len(rows) > room:
        room = max(1, room - 1)
        scroll = min(scroll, len(rows) - room)
        shown = rows[scroll : scroll + room]
        text = f"{scroll + 1} to {scroll + len(shown)} of {len(rows)}"
        more = [style.paint(style.fit(text, columns), FAINT)]
    else:
        shown, more = rows, []
    return ["", *grid(heads, shown, columns, style), *more]


def _head(board: Board, looks: Looks, columns: int, style: Style, lost: str) -> list[str]:
    of = board.state
    word, colour = state_of(of)
    word = style.fit(word, columns)
    calls = sum(each.calls_s or 0 for each in board.routes())
    text = f"{number(calls)} calls/s, sidecar {of['version']} up {span(board.at - of['started'])}, "
    text += f"sorted by {looks.sort}{', paused' if looks.paused else ''}"
    shown = style.fit(text, columns - width(word) - 2)
    lines = [f"{style.paint(word, colour)}  {style.paint(shown, BOLD)}".rstrip()]
    problems = filter(None, (lost, of["config_error"].partition("\n")[0]))
    return lines + [style.paint(style.fit(each, columns), RED) for each in problems]


def _route(of: RouteRates) -> list[Cell]:
    whole = of.ok + of.failed
    return [
        Cell(of.name),
        Cell(_number(of.calls_s)),
        Cell(share(of.ok, whole), share_colour(of.ok, whole)),
        Cell("" if of.first_p50_ms is None else milliseconds(of.first_p50_ms)),
        Cell("" if of.first_p95_ms is None else milliseconds(of.first_p95_ms)),
        Cell(_number(of.tokens_min or None)),
        Cell(_number(of.cost_min or None)),
        Cell(number(of.in_flight) if of.in_flight else ""),
        Cell(number(of.again) if of.again else "", YELLOW),
    ]


def _endpoint(of: EndpointRates) -> list[Cell]:
    whole = of.ok + of.failed
    return [
        Cell(of.upstream),
        Cell(of.name),
        Cell(state(of.state), state_colour(of.state)),
        Cell(_number(of.attempts_s)),
        Cell(share(of.ok, whole), share_colour(of.ok, whole)),
        Cell(milliseconds(of.latency_ms) if of.latency_ms else ""),
        Cell(number(of.in_flight) if of.in_flight else ""),
        Cell(of.reason, FAINT),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
