"""Mutations of bytes, as libFuzzer and AFL have them, and ways to cut bytes into reads.

All take a `random.Random`, so that a seed gives the same bytes again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Final

INTERESTING: Final = bytes(range(0x21)) + b'"#%,/0:;=?@AZ[\\]az{|}~\x7f\x80\x85\xa0\xad\xe9\xfe\xff'
"""Bytes at the edges of what grammars allow."""
_LONGEST: Final = 64 * 1024
"""Bytes. Mutations may repeat what is there: this bounds what they come to."""
_NUMBER: Final = re.compile(rb"\d{1,18}")

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


def _place(random: Random, data: bytes) -> int:
    return random.randint(0, len(data))


def _span(random: Random, data: bytes) -> tuple[int, int]:
    """A short piece of *data* mostly, now and then a long one."""
    start = _place(random, data)
    longest = random.choice((1, 2, 4, 16, 64, len(data)))
    return start, min(len(data), start + random.randint(0, longest))


def _byte(random: Random) -> bytes:
    if random.random() < 0.75:
        return bytes([random.choice(INTERESTING)])
    return bytes([random.randrange(256)])


def _insert(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    return data[:at] + _byte(random) * random.choice((1, 1, 1, 2, 3)) + data[at:]


def _change(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    return data[:at] + _byte(random) + data[at + 1 :]


def _flip(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _erase(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 7)) + data[end:]


def _copy(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    at = _place(random, data)
    return data[:at] + data[start:end] + data[at:]


def _word(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at = _place(random, data)
    over = random.choice((0, 0, 1, 4))
    return data[:at] + random.choice(words or (b"",)) + data[at + over :]


def _number(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    match = random.choice(found)
    old = int(match[0])
    new = random.choice((old + 1, old - 1, old * 2, 0, 2**31, 2**32, 2**63, 2**64, 10**19))
    text = b"%d" % new
    return data[: match.start()] + random.choice((text, b"0" + text)) + data[match.end() :]


def _line(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """Take a line out, repeat it, or put it elsewhere."""
    lines = data.split(b"\r\n")
    line = lines.pop(random.randrange(len(lines)))
    for _ in range(random.choice((0, 1, 1, 2))):
        lines.insert(random.randint(0, len(lines)), line)
    return b"\r\n".join(lines)


def _line_end(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """Spell one line's end otherwise."""
    places = [match.start() for match in re.finditer(b"\r\n", data)]
    if not places:
        return data
    at = random.choice(places)
    new = random.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b""))
    return data[:at] + new + data[at + 2 :]


def _case(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


MUTATIONS: Final[Sequence[Mutation]] = (
    *(_insert, _insert, _change, _change, _flip, _erase, _repeat, _copy),
    *(_word, _word, _number, _line, _line_end, _case),
)


def mutated(random: Random, data: bytes, words: Sequence[bytes] = (), most: int = 4) -> bytes:
    """*data* after one to *most* mutations."""
    for _ in range(random.randint(1, most)):
        data = random.choice(MUTATIONS)(random, data, words)[:_LONGEST]
    return data


def cut_at(data: bytes, places: Sequence[int]) -> list[bytes]:
    """*data* in pieces that end at *places*; none is empty."""
    ends = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in pairwise([0, *ends, len(data)]) if start < end]


def bytewise(data: bytes) -> list[bytes]:
    """*data*, each byte by itself."""
    return [data[at : at + 1] for at in range(len(data))]


def cut(random: Random, data: bytes) -> list[bytes]:
    """*data* cut behind some lines, as writers do, within line ends, or anywhere."""
    lines = [match.end() for match in re.finditer(b"\n", data)]
    kind = random.randrange(4)
    if kind == 0 and lines:
        return cut_at(data, random.sample(lines, random.randint(1, len(lines))))
    if kind == 1 and lines:
        return cut_at(data, [place - random.randint(0, 2) for place in lines])
    return cut_at(data, [random.randint(0, len(data)) for _ in range(random.choice((1, 1, 2, 8)))])
