"""The files of the live page, and what a browser may do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.control.answers import Answer

_FOLDER: Final = Path(__file__).parent / "page"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Frame-Options": "DENY",
}


def asset(name: str) -> Answer | None:
    """Return the file *name*; None if there is none. Only names in the folder itself are known."""
    for file in _FOLDER.iterdir():
        if file.name == name and file.suffix in _TYPES:
            return Answer(file.read_bytes(), content_type=_TYPES[file.suffix], headers=_HEADERS)
    return None
