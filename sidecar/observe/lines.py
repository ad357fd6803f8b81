"""A call's record as JSON: a line of the access log, an entry of the admin API's list."""

from __future__ import annotations

from time import gmtime, strftime
from typing import Final

import msgspec

from sidecar.observe.escape import escape_json
from sidecar.observe.record import CallRecord

_encode: Final = msgspec.json.Encoder().encode


def line(record: CallRecord) -> bytes:
    """Encode *record* as a line of JSON. Raise ValueError when a text is not Unicode."""
    if len(record.tries) == 1 or record.layers:  # the call's own fields say the same
        tries = record.tries if len(record.tries) > 1 else ()
        record = msgspec.structs.replace(record, tries=tries, layers=())
    return encode(record) + b"\n"


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
