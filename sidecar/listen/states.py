"""docs/states.md, written from the tables of states.

Run `python -m sidecar.listen.states > docs/states.md`.
"""

from __future__ import annotations

import sys
from typing import Final

from sidecar.http.request_parser import RequestState
from sidecar.http.response_parser import ResponseState
from sidecar.http.states import State, diagram
from sidecar.listen.downstream_state import DownstreamState
from sidecar.proxy.exchange.state import ExchangeState

PAGE: Final[tuple[tuple[str, str, type[State]], ...]] = (
    (
        "The application's connection",
        "[`listen/downstream.py`](../sidecar/listen/downstream.py). A call is served in BODY and "
        "CALL, and still in REFUSED.",
        DownstreamState,
    ),
    (
        "Its parser",
        "[`http/request_parser.py`](../sidecar/http/request_parser.py).",
        RequestState,
    ),
    (
        "An exchange: one attempt on one upstream connection",
        "[`proxy/exchange/`](../sidecar/proxy/exchange/exchange.py). Most go from SENDING to "
        "WAITING in one step, and from RECEIVING to SETTLED in another.",
        ExchangeState,
    ),
    (
        "The parser of an upstream connection",
        "[`http/response_parser.py`](../sidecar/http/response_parser.py).",
        ResponseState,
    ),
)

_INTRODUCTION: Final = """\
# States

What carries bytes has one variable, `state`, that says what it does now. It is part of the object's
`repr`. A move that is not drawn here raises
([`http/states.py`](../sidecar/http/states.py)). The breaker's states are in
[`policy/breaker.py`](../sidecar/policy/breaker.py).

This page is written by `make docs` from the tables in the code.
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for title, text, states in PAGE:
        parts.append(f"## {title}\n\n{text}\n\n```mermaid\n{diagram(states)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
