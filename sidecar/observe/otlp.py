"""OTLP's messages, written by hand in protobuf: what an export request of spans is made of.

Protobuf and not JSON: both are in the protocol, but backends for LLM traces exist that take only
protobuf. By hand, since the SDK takes 47 us of CPU for a span, and its memory. Field numbers are
those of opentelemetry-proto, `trace.proto`, `common.proto` and `trace_service.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

Value = str | bool | int | float | tuple[str, ...]

LONGEST: Final = 1024
"""Characters of a text; longer ones are cut. Callers choose how long most texts are."""
_SMALL: Final = tuple(bytes((value,)) for value in range(0x80))
_SIXTY_FOUR: Final = 2**64 - 1
_double: Final = struct.Struct("<d").pack
fixed64: Final = struct.Struct("<Q").pack
fixed32: Final = struct.Struct("<I").pack


def varint(value: int) -> bytes:
    """Write *value*; a negative one as int64 does."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= _SIXTY_FOUR
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag: bytes, data: bytes) -> bytes:
    """Write a field with a length. *tag*: its number and wire type, as one byte."""
    return tag + varint(len(data)) + data


def attributes(values: Mapping[str, Value], tag: bytes) -> bytes:
    """Write each of *values* as a `KeyValue` in the repeated field *tag*."""
    return b"".join([tag + _pair(key, value) for key, value in values.items()])


def request(
    resource: Mapping[str, Value], scope: tuple[str, str], schema_url: str, spans: Iterable[bytes]
) -> bytes:
    """Write an `ExportTraceServiceRequest`. *scope*: the name and version of who made *spans*."""
    url = field(b"\x1a", schema_url.encode())
    name, version = scope
    made_by = field(b"\x0a", name.encode()) + field(b"\x12", version.encode())
    scoped = field(b"\x0a", made_by) + b"".join(field(b"\x12", span) for span in spans) + url
    whole = field(b"\x0a", attributes(resource, b"\x0a")) + field(b"\x12", scoped) + url
    return field(b"\x0a", whole)


def rejected(response: bytes) -> int:
    """Return how many spans an `ExportTraceServiceResponse` rejects; 0 if it can't be read."""
    partial = _first(response, 1)
    count = _first(partial, 1) if isinstance(partial, bytes) else 0
    return count if isinstance(count, int) else 0


@lru_cache(1024, typed=True)  # 1, 1.0 and True are the same key otherwise
def _pair(key: str, value: Value) -> bytes:
    """Write a `KeyValue` behind its length. Most are the same for all calls of a route."""
    name = key.encode()
    pair = b"\x0a%b%b%b" % (varint(len(name)), name, field(b"\x12", _any(value)))
    return varint(len(pair)) + pair


def _any(value: Value) -> bytes:
    if isinstance(value, str):
        return field(b"\x0a", _text(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    return field(b"\x2a", b"".join(field(b"\x0a", _any(each)) for each in value))


def _text(text: str) -> bytes:
    return text[:LONGEST].encode("utf-8", "replace")


def _first(message: bytes, number: int) -> bytes | int | None:
    """Return the first field *number* of *message*, if it is a varint or has a length."""
    at = 0
    try:
        while at < len(message):
            tag, at = _read(message, at)
            value: bytes | int | None = None
            if tag & 7 == 0:
                value, at = _read(message, at)
            elif tag & 7 == 2:
                size, at = _read(message, at)
                value, at = message[at : at + size], at + size
            else:
                at += {1: 8, 5: 4}[tag & 7]
            if tag >> 3 == number:
                return value
    except LookupError:
        return None
    return None


def _read(message: bytes, at: int) -> tuple[int, int]:
    """Return the varint at *at*, and where it ends. Raise IndexError if it doesn't."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
