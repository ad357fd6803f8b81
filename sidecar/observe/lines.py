"""A call's record as a line of the access log, in JSON or for people."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import gmtime, localtime, strftime
from typing import Final

import msgspec

from sidecar.observe.escape import escape_json, escape_text
from sidecar.observe.record import CallRecord
from sidecar.observe.told import cost, failing, milliseconds, reason, tokens

_encode: Final = msgspec.json.Encoder().encode


Line = Callable[[CallRecord], bytes]
"""Makes a line of the access log. Raises ValueError when a text is not Unicode."""


def line(record: CallRecord) -> bytes:
    """Encode *record* as a line of JSON. Raise ValueError when a text is not Unicode."""
    if len(record.tries) == 1 or record.layers:  # the call's own fields say the same
        tries = record.tries if len(record.tries) > 1 else ()
        record = msgspec.structs.replace(record, tries=tries, layers=())
    return encode(record) + b"\n"


def line_of(fields: Collection[str] | None, omit: Collection[str]) -> Line:
    """Make lines of JSON with these *fields*, None for the usual ones, and none of *omit*.

    A line has no field with its default: so those that are not wanted get it.
    """
    blank = {
        field.name: field.default
        for field in msgspec.structs.fields(CallRecord)
        if field.default is not msgspec.NODEFAULT
        and (field.name in omit or (fields is not None and field.name not in fields))
    }
    if not blank:
        return line
    if fields is None:
        return lambda record: line(msgspec.structs.replace(record, **blank))
    return lambda record: encode(msgspec.structs.replace(record, **blank)) + b"\n"


def text_line(record: CallRecord) -> bytes:
    """Write *record* as a line for people, in local time, with the usual columns in line."""
    when = strftime("%H:%M:%S", localtime(record.time))
    asked = _cut(f"{record.method} {record.path}", 40)
    parts = [f"{when}  {record.status or 'left':>4} {milliseconds(record.duration_ms):>9}"]
    parts.append(f"{asked:<25}")
    if record.model:
        parts.append(_cut(record.model, 40))
    if record.stream and record.first_byte_ms and record.status:
        first = record.first_token_ms or record.first_byte_ms
        parts.append(f"first {milliseconds(first)}")
    if told := tokens(record):
        parts.append(f"{told} tokens")
    if record.cost:
        parts.append(cost(record))
    if len(record.tries) > 1:
        parts.append(f"{len(record.tries)} attempts ({', '.join(map(reason, record.tries[1:]))})")
    if record.cache == "hit":
        parts.append("cache hit")
    if why := failing(record):
        parts.append(why)
    return escape_text("  ".join(parts).rstrip()).encode(errors="backslashreplace") + b"\n"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def encode(record: CallRecord) -> bytes:
    """Encode all of *record* as JSON. Raise ValueError when a text is not Unicode."""
    text = _encode(record)
    if b"\x7f" in text or not text.isascii():
        text = escape_json(text.decode()).encode()
    # `time` is the first field, always there, and a number: only it stands before the first comma.
    return b'{"time":"%b"%b' % (rfc3339(record.time), text[text.index(b",") :])


_second: tuple[int, bytes] = (0, b"1970-01-01T00:00:00")


def rfc3339(seconds: float) -> bytes:
    """Write Unix *seconds* as UTC with milliseconds. Successive calls mostly share the second."""
    global _second  # noqa: PLW0603 - one tuple, replaced whole: threads see the old or the new
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    second, text = _second
    if second != whole:
        text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole)).encode()
        _second = (whole, text)
    return b"%b.%03dZ" % (text, milliseconds)
