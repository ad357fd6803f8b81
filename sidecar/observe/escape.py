"""Characters that would steer a terminal, or make a text read as another, shown as escapes.

What callers send (a model, a path, a user agent) ends in logs that people read in a terminal. JSON
escapes C0 controls only. Left are DEL and the C1 controls (ECMA-48: U+009B begins a sequence as ESC
and `[` do), and the characters that reorder or hide text (Unicode Technical Report 36, section 2.9;
CVE-2021-42574).
"""

from __future__ import annotations

import re
from typing import Final

_STEERING: Final = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_CONTROL: Final = re.compile("[\x00-\x1f]")


def escape_json(text: str) -> str:
    """*text*, which is JSON, with those characters as `\\u` escapes: it says the same."""
    return _STEERING.sub(_escaped, text)


def escape_text(text: str) -> str:
    """*text*, which is to be read as it is, on one line."""
    return _CONTROL.sub(_escaped, _STEERING.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
