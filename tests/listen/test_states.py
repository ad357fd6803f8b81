"""The tables of states: what they allow, and that the page draws them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from sidecar.http.states import BadMove, State, diagram, moves
from sidecar.listen.states import PAGE, page

TABLES = [states for _, _, states in PAGE]
DOCS = Path(__file__).parents[2] / "docs"


class Door(State):
    OPEN = "one can go through"
    SHUT = "one can't"
    GONE = "there is none"


moves({Door.OPEN: (Door.SHUT, Door.GONE), Door.SHUT: (Door.OPEN,), Door.GONE: ()})


def test_a_move_that_is_not_in_the_table_raises() -> None:
    assert Door.OPEN.to(Door.SHUT) is Door.SHUT
    with pytest.raises(BadMove, match="Door SHUT can't become GONE"):
        Door.SHUT.to(Door.GONE)


def test_a_diagram_has_every_state_and_move() -> None:
    assert diagram(Door).splitlines() == [
        "stateDiagram-v2",
        "  OPEN : OPEN, one can go through",
        "  SHUT : SHUT, one can't",
        "  GONE : GONE, there is none",
        "  [*] --> OPEN",
        "  OPEN --> SHUT",
        "  OPEN --> GONE",
        "  SHUT --> OPEN",
        "  GONE --> [*]",
    ]


@pytest.mark.parametrize("states", TABLES)
def test_every_state_can_be_reached_and_says_where_it_goes(states: type[State]) -> None:
    members = list(states)
    reached = {members[0]}
    for _, state in product(members, members):
        if state in reached:
            reached |= set(state.next)
    assert reached == set(members)


def test_the_page_is_what_the_tables_say() -> None:
    again = "run: make docs"
    assert (DOCS / "states.md").read_text(encoding="utf-8") == page(), again
