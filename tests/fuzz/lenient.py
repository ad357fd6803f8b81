"""How careless servers might read a request: where each thinks that it ends.

Request smuggling (CWE-444) needs two that disagree. So no reading of what is forwarded may differ
from the strict one, however careless it is: lines that end with LF or CR, names and values cut
loosely, the first or the last of several lengths, Transfer-Encoding before Content-Length or after.

Names with `_` for `-` are not among the readings: they are tokens of their own, which a proxy must
pass on (RFC 9110, section 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")
Readings = Iterator[tuple[str, T]]
"""Each with what is careless about it."""
Fields = list[tuple[bytes, bytes]]


class _Head(NamedTuple):
    lines: list[bytes]
    size: int


class _Framing(NamedTuple):
    chunked: bool
    length: int | None
    """None: this reader takes it for no number, and refuses it."""


_LINE_ENDS: Final = {
    "lines end with CR LF": rb"\r\n",
    "with LF": rb"\r*\n",
    "with CR": rb"\r\n?",
    "with CR or LF": rb"\r\n|\r|\n",
    "with any control character": rb"\r\n|[\x00\x0b\x0c\x1c-\x1e\r\n]",
}
_NAMES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "names as they are": lambda name: name,
    "names without blanks": bytes.strip,
    "names without odd bytes": lambda name: re.sub(rb"[^!-~]", b"", name),
}
_VALUES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "values without blanks": lambda value: value.strip(b" \t"),
    "values without odd bytes": lambda value: re.sub(rb"[^!-~]", b"", value),
    "values up to a NUL": lambda value: value.partition(b"\0")[0].strip(),
}
_CODINGS: Final[dict[str, Callable[[Sequence[bytes]], bool]]] = {
    "the last coding counts": lambda found: found[-1].rpartition(b",")[2].strip() == b"chunked",
    "the first coding counts": lambda found: found[0].partition(b",")[0].strip() == b"chunked",
    "chunked may stand anywhere": lambda found: any(b"chunked" in value for value in found),
    "any coding is chunked": lambda found: True,
}


def _digits(text: bytes) -> int | None:
    found = re.match(rb"[+\s]*(\d{1,30})", text)
    return int(found[1]) if found else None


def _python(text: bytes) -> int | None:
    try:
        return max(0, int(text))
    except ValueError:
        return None


_LENGTHS: Final[dict[str, Callable[[Sequence[bytes]], int | None]]] = {
    "the first length counts": lambda found: _digits(found[0]),
    "the last length counts": lambda found: _digits(found[-1].rpartition(b",")[2]),
    "the first, as Python reads it": lambda found: _python(found[0]),
    "the last, as Python reads it": lambda found: _python(found[-1]),
}
_SIZES: Final = {
    "sizes by the letter": rb"([0-9a-fA-F]{1,16})\r\n",
    "sizes with anything up to LF": rb"([0-9a-fA-F]{1,16})[^\n]*\n",
    "sizes with anything up to CR LF": rb"([0-9a-fA-F]{1,16})(?:[^\r]|\r(?!\n))*\r\n",
    "sizes up to CR": rb"[+\s]*(?:0x)?([0-9a-fA-F]{1,16})[^\r\n]*(?:\r\n|\r|\n)",
}


def ends(data: bytes) -> dict[int | None, str]:
    """Where the request that *data* begins with ends, for each reader, with one who thinks so.

    None: it waits for more. -1: it refuses it.
    """
    found: dict[int | None, str] = {}
    for how, head in _distinct(_heads(data)):
        if head is None:
            found.setdefault(None, how)
            continue
        for fields_how, fields in _distinct(_all_fields(head.lines)):
            for framing_how, framing in _distinct(_framings(fields)):
                for body_how, end in _ends(data, head.size, framing):
                    found.setdefault(end, "; ".join((how, fields_how, framing_how, body_how)))
    return found


def _distinct(readings: Iterable[tuple[str, T]]) -> Readings[T]:
    """Most readings are the same, so that few have to be followed further."""
    seen: list[T] = []
    for how, reading in readings:
        if reading not in seen:
            seen.append(reading)
            yield how, reading


def _heads(data: bytes) -> Readings[_Head | None]:
    for how, pattern in _LINE_ENDS.items():
        end = re.search(b"(?>%b)(?>%b)" % (pattern, pattern), data)
        if end is None:
            yield how, None
        else:
            yield how, _Head(re.split(pattern, data[: end.start()]), end.end())


def _all_fields(lines: list[bytes]) -> Readings[Fields]:
    for how, folded in _distinct(_folds(lines[1:])):
        for names, name in _NAMES.items():
            for values, value in _VALUES.items():
                pairs = [line.partition(b":") for line in folded]
                yield (
                    f"{how}; {names}; {values}",
                    [(name(key).lower(), value(rest).lower()) for key, _, rest in pairs],
                )


def _folds(lines: list[bytes]) -> Readings[list[bytes]]:
    yield "lines stand for themselves", lines
    joined: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and joined:
            joined[-1] += b" " + line.strip()
        else:
            joined.append(line)
    yield "folded lines are joined", joined


def _framings(fields: Fields) -> Readings[_Framing]:
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if not codings and not lengths:
        yield "no body", _Framing(False, 0)
    for how, chunked in _CODINGS.items() if codings else ():
        if chunked(codings):
            yield how, _Framing(True, None)
        elif not lengths:
            yield f"{how}, else there is no body", _Framing(False, 0)
    for how, length in _LENGTHS.items() if lengths else ():
        yield how, _Framing(False, length(lengths))


def _ends(data: bytes, at: int, framing: _Framing) -> Readings[int | None]:
    if not framing.chunked:
        if framing.length is None:
            yield "no number", -1
        else:
            end = at + framing.length
            yield "that many bytes", end if end <= len(data) else None
        return
    for how, pattern in _SIZES.items():
        yield how, _chunks_end(data, at, re.compile(pattern))


def _chunks_end(data: bytes, at: int, size_line: re.Pattern[bytes]) -> int | None:
    while (line := size_line.match(data, at)) is not None:
        size, at = int(line[1], 16), line.end()
        if size == 0:
            return _trailers_end(data, at)
        at += size
        if len(data) < at + 2:
            return None
        at += 2 if data[at : at + 2] == b"\r\n" else 1
    return None if at >= len(data) or b"\n" not in data[at:] else -1


def _trailers_end(data: bytes, at: int) -> int | None:
    end = re.compile(rb"(?:[^\r\n]+\r?\n)*\r?\n").match(data, at)
    return None if end is None else end.end()
