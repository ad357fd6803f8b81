"""Where things that providers keep were made, by their ids: bounded, the latest used stay."""

from __future__ import annotations

from typing import Final, NamedTuple

from sidecar.policy.lru import Lru

MEMORY: Final = 16 * 2**20
"""Bytes: some 45,000 ids."""
_ENTRY: Final = 320
"""Bytes of an entry besides its id, as measured."""


class Home(NamedTuple):
    """The endpoint that made a thing, and which of several keys it was made with."""

    upstream: str
    endpoint: str
    key: str = ""
    """Name of the key; empty where the upstream has one or none."""


class Stays(NamedTuple):
    """What a call asks for, and the endpoint that it must go to."""

    id: str
    endpoint: str
    """Empty: unknown, so that the id chooses one."""
    key: str = ""
    """The same of the key."""


class Homes:
    """The home of each id. The first endpoint to tell an id made it: others only repeat it."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._known: Lru[str, Home] = Lru(memory)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: str) -> Home | None:
        """Return the home of the thing with the id *name*."""
        return self._known.get(name)

    def learn(self, name: str, home: Home) -> None:
        """Keep the home of *name*, unless it has one."""
        if self._known.get(name) is None:
            self.move(name, home)

    def move(self, name: str, home: Home) -> None:
        """Keep the home of *name*, instead of the one that it had."""
        self._known.put(name, home, _ENTRY + len(name))

    def forget(self, name: str) -> None:
        """The thing is deleted."""
        self._known.drop(name)
