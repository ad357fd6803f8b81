"""States that can be printed, and the moves between them.

Each object that carries bytes has one variable with its state. A move that is not in its table is a
bug: it raises, rather than send bytes in the wrong state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar


class BadMove(Exception):
    """A bug: the move is not in the table."""


class State(Enum):
    """The base of all states. A member's value says what it means."""

    next: tuple[State, ...]
    """Its next states. A tuple, because a search in it costs less than hashing a member."""

    def to(self, state: S) -> S:
        """Return *state* if the move is in the table. Raise BadMove otherwise."""
        if state not in self.next:
            raise BadMove(f"{type(self).__qualname__} {self.name} can't become {state.name}")
        return state


S = TypeVar("S", bound=State)


def moves(table: Mapping[S, Sequence[S]]) -> None:
    """Set the next states of each state from *table*."""
    for state, following in table.items():
        state.next = tuple(following)


def diagram(states: type[State]) -> str:
    """Return a Mermaid diagram of *states*."""
    lines = ["stateDiagram-v2"]
    members = list(states)
    lines += [f"  {state.name} : {state.name}, {state.value}" for state in members]
    lines.append(f"  [*] --> {members[0].name}")
    for state in members:
        lines += [f"  {state.name} --> {following.name}" for following in state.next]
        if not state.next:
            lines.append(f"  {state.name} --> [*]")
    return "\n".join(lines)
