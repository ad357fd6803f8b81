"""The header lines of a message, kept unchanged, with fields looked up when they are needed.

A provider's head has new ids, dates and limits in every message, and we act on a few of its twenty
fields. So all lines are checked at once, by `bytes` methods and patterns that run in C, and passed
on unchanged, without an object for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Final, TypeVar, overload

_T = TypeVar("_T")

Header = tuple[bytes, bytes, bytes]
"""(lower-case name, name as it was sent, value)."""

_NAMES: Final = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r]*+)*").fullmatch
"""RFC 9110, section 5.1: each line has a name, which is a token. It never backtracks."""
_TEXT: Final = bytes([9, *range(32, 127), *range(128, 256)])
"""The bytes of a valid value (RFC 9110, section 5.5)."""
_EVERY: Final = re.compile(rb"\r\n([^:\r]*):([^\r]*)").finditer
_BLANK: Final = b" \t"


def valid(block: bytes) -> bool:
    """Whether *block* is header lines, each after a CR LF, and nothing else.

    Folded lines, white space before a colon, control characters and a stray CR or LF are invalid.
    Without its text, the block must be CR LF repeated: no value has a CR, so none has an LF.
    """
    if _NAMES(block) is None:
        return False
    ends = block.translate(None, _TEXT)
    return ends == b"\r\n" * (len(ends) // 2)


def headers_in(block: bytes) -> list[Header]:
    """Return all lines of *block*, which must be `valid`, in order."""
    return [(line[1].lower(), line[1], line[2].strip(_BLANK)) for line in _EVERY(block)]


class Wanted:
    """The fields that every message of a kind is asked for; one search finds all of them."""

    def __init__(self, names: Iterable[bytes], prefix: bytes) -> None:
        """*prefix*: names that begin with it are wanted too."""
        self.names = frozenset(names)
        self.prefix = prefix
        self.find = _finder([*map(re.escape, self.names), re.escape(prefix) + rb"[^:\r]*"])
        """Returns (name, value) of each wanted line, as they were sent."""

    def __contains__(self, name: bytes) -> bool:
        return name in self.names or name.startswith(self.prefix)


def _finder(names: Iterable[bytes]) -> Callable[[bytes], list[tuple[bytes, bytes]]]:
    """Return a search for the lines of *names* (patterns in lower case), in any letter case.

    The patterns are grouped by first letter, at which most lines fail: a third faster.
    """
    rests: dict[bytes, list[bytes]] = {}
    for name in sorted(names):
        rests.setdefault(name[:1], []).append(name[1:])
    words = [letter + rb"(?:%b)" % b"|".join(each) for letter, each in rests.items()]
    letters = b"".join(rests)
    begins = letters + letters.upper()
    pattern = rb"\r\n(?=[%b])((?i:%b)):([^\r]*)" % (begins, b"|".join(words))
    return re.compile(pattern).findall


class Fields(Mapping[bytes, bytes]):
    """By lower-case name; values without the white space around them.

    Values of repeated lines are joined with a comma (RFC 9110, section 5.3). It is immutable, so
    messages with the same lines may share it.
    """

    __slots__ = ("_found", "_read", "_repeats", "_wanted", "block", "known")

    def __init__(self, block: bytes, wanted: Wanted) -> None:
        """*block* must be `valid`."""
        self.block = block
        self._wanted = wanted
        self._found = found = wanted.find(block)
        self.known = known = {name.lower(): value.strip(_BLANK) for name, value in found}
        """The wanted values, in a plain dict, because they are read 20 times per call."""
        self._read: dict[bytes, bytes] | None = None
        """All values, made when an unwanted or repeated one is first needed."""
        self._repeats = len(known) != len(found)
        if self._repeats:
            every = self._all()
            for name in known:
                known[name] = every[name]

    @classmethod
    def of(cls, headers: Iterable[Header], wanted: Wanted) -> Fields:
        """Make it from parsed headers."""
        return cls(b"".join([b"\r\n%b: %b" % header[1:] for header in headers]), wanted)

    @overload
    def get(self, name: bytes, /) -> bytes | None: ...

    @overload
    def get(self, name: bytes, default: bytes, /) -> bytes: ...

    @overload
    def get(self, name: bytes, default: _T, /) -> bytes | _T: ...

    def get(self, name: bytes, default: _T | None = None, /) -> bytes | _T | None:
        """The value of *name*."""
        value = self.known.get(name)
        if value is None and name not in self._wanted:
            value = self._all().get(name)
        return default if value is None else value

    def __getitem__(self, name: bytes) -> bytes:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self.get(name) is not None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"<Fields {', '.join(name.decode('ascii') for name in self)}>"

    @property
    def count(self) -> int:
        """Return the number of lines."""
        return self.block.count(b"\n")

    def headers(self) -> list[Header]:
        """Return all lines in order."""
        return headers_in(self.block)

    def without(self, names: Set[bytes]) -> bytes:
        """Return the lines without those of *names*."""
        if not (names <= self._wanted.names or all(name in self._wanted for name in names)):
            return self._cut([line[0] for line in _EVERY(self.block) if line[1].lower() in names])
        dropped = self.known.keys() & names
        if not dropped:
            return self.block
        return self._cut(
            [b"\r\n%b:%b" % line for line in self._found if line[0].lower() in dropped]
        )

    def _cut(self, lines: list[bytes]) -> bytes:
        """Return the block without *lines*. Each is matched with both its ends, so as a whole."""
        block = self.block + b"\r\n"
        for line in lines:
            block = block.replace(line + b"\r\n", b"\r\n", 1)
        return block[:-2]

    def _all(self) -> dict[bytes, bytes]:
        if self._read is None:
            read: dict[bytes, bytes] = {}
            self._read = read
            for name, _, value in self.headers():
                read[name] = read[name] + b", " + value if name in read else value
        return self._read


NONE: Final = Fields(b"", Wanted((), b"\0"))
"""The fields of a head that is not read yet."""
