"""Pictures as files: `WRITE=1 pytest tests/terminal` writes them anew, to be looked at."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare *text* with the picture *name*."""
    text += "\n"
    file = _FOLDER / f"{name}.txt"
    if os.environ.get("WRITE"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
