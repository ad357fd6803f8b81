"""No pattern repeats a group possessively: Python before 3.11.5 misreads it.

Where an iteration fails behind its first byte, its `re` goes on from there instead of from the end
of the last iteration (CPython, gh-106052): `5;` passed for a chunk size. Debian 12 has 3.11.2.
"""

from __future__ import annotations

import re
from pathlib import Path

import sidecar

ROOT = Path(sidecar.__file__).parent
_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
STRING = '[^"\\\\]*+(?:\\\\.[^"\\\\]*+)*+"'
"""The rest of a JSON string: an iteration fails only at the end of the text, where a quote does
too. With another repetition, a long text would take memory for each escape."""
SAFE = {
    "http/target.py": "a class of characters, not a group",
    "config/check/urls.py": "a class of characters, not a group",
    "llm/report.py": "what fails midway ends at a line's end, where nothing else matches",
}


def test_no_group_is_repeated_possessively() -> None:
    found = set()
    for file in sorted(ROOT.rglob("*.py")):
        for line in file.read_text(encoding="utf-8").splitlines():
            if _GROUP.search(line.replace(STRING, "")):
                found.add(str(file.relative_to(ROOT)))
    assert found == SAFE.keys()
