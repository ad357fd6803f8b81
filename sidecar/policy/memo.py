"""Remembers what was worked out for keys that callers choose, within bounds."""

from __future__ import annotations

from typing import Final, TypeVar

K = TypeVar("K", bound=bytes | str | tuple[bytes, ...])
V = TypeVar("V")
_MOST: Final = 1024
_LONGEST: Final = 512
"""Characters or bytes of a key. Longer ones are not remembered."""


class Memo(dict[K, V]):
    """What `keep` was given for each of a thousand short keys; one more, and all are forgotten.

    Callers send the same few keys, so that is rare, and a look-up is a dict's.
    """

    __slots__ = ()

    def keep(self, key: K, value: V) -> V:
        """Remember *value* if *key* is short; return it."""
        if (sum(map(len, key)) if isinstance(key, tuple) else len(key)) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[key] = value
        return value
