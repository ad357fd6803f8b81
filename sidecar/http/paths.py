"""How servers may read a path, other than as it is written.

RFC 3986 calls paths equivalent that differ in needless percent-encoding (6.2.2.2) or in dot
segments (6.2.2.3). Many servers go further: they decode `%2F`, merge slashes, read `\\` as `/` or
cut parameters (`;v=1`) off a segment before they look for a resource; servers written in C may end
the path at `%00`. So `/v1/chat/..%2Ffiles` and `/v1/files;v=1` may be `/v1/files` there.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_PLAIN: Final = re.compile(r"(?:/[^/%\\;.][^/%\\;]*+)*/?|\*")
"""A path with one reading: no empty segment, none that begins with a dot, nothing encoded."""
_PARAMETERS: Final = re.compile(r";[^/]*+")
_SEPARATORS: Final = str.maketrans("\\\0", "//")
_SLASHES: Final = re.compile(r"/{2,}")


def plain(path: str) -> bool:
    """Whether every server reads *path* as it is written."""
    return _PLAIN.fullmatch(path) is not None


def as_read(path: str) -> str:
    """Return *path* as the most lenient server reads it.

    Decoded (once, as RFC 3986, section 2.4 demands), with backslashes as slashes, without
    parameters, and slashes merged; a NUL ends a segment. Dot segments stay: see `has_dot_segment`.
    """
    decoded = unquote(path, encoding="latin-1").translate(_SEPARATORS)
    return _SLASHES.sub("/", _PARAMETERS.sub("", decoded))


def has_dot_segment(path: str) -> bool:
    """Whether *path*, from `as_read`, has a segment `.` or `..`."""
    return not {".", ".."}.isdisjoint(path.split("/"))
