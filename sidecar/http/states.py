"""States that can be printed, and the moves between them.

What carries bytes has one variable that says what it does now. A move that its table does not have
is a bug of ours: it raises, rather than send bytes that mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar


class BadMove(Exception):
    """A bug: the state can't become that one."""


class State(Enum):
    """The base of all states. A member's value says what it means."""

    next: tuple[State, ...]
    """What it can become. A tuple: looking through it costs less than hashing a member."""

    def to(self, state: S) -> S:
        """*state*, if this can become it."""
        if state not in self.next:
            raise BadMove(f"{type(self).__qualname__} {self.name} can't become {state.name}")
        return state


S = TypeVar("S", bound=State)


def moves(table: Mapping[S, Sequence[S]]) -> None:
    """Let each state become those that stand behind it in *table*."""
    for state, following in table.items():
        state.next = tuple(following)


def diagram(states: type[State]) -> str:
    """*states* in the words of Mermaid, from the first to those that end."""
    lines = ["stateDiagram-v2"]
    members = list(states)
    lines += [f"  {state.name} : {state.name}, {state.value}" for state in members]
    lines.append(f"  [*] --> {members[0].name}")
    for state in members:
        lines += [f"  {state.name} --> {following.name}" for following in state.next]
        if not state.next:
            lines.append(f"  {state.name} --> [*]")
    return "\n".join(lines)
