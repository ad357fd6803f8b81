"""Where the local CA lies, and how its files are written: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

KEY_FILE: Final = "ca.pem"
"""The CA's key and certificate in one file, so that there are never two halves of two CAs."""
CERTIFICATE_FILE: Final = "ca.crt"
BUNDLE_FILE: Final = "bundle.pem"
TRUST_STORE_FILE: Final = "truststore.p12"
PASSWORD: Final = "changeit"  # noqa: S105
"""Of the trust store: Java's own default, as it holds nothing secret."""

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


class Unusable(OSError):
    """The CA's folder or files can't be used; the message says which and why."""


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Of this user: `$XDG_STATE_HOME/llm-sidecar/ca`. Raise Unusable for a user without a home."""
    state = environ.get("XDG_STATE_HOME")
    if state:
        return Path(state, "llm-sidecar", "ca")
    try:
        return Path.home() / ".local" / "state" / "llm-sidecar" / "ca"
    except RuntimeError:
        raise Unusable("this user has no home: say where the CA is to lie") from None


def make_private(folder: Path) -> None:
    """Make *folder*, for this user only. One that is there stays as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write(file: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Put *content* into *file* in one step: readers see the old or the new."""
    written = _beside(file, content, mode)
    written.replace(file)


def write_first(file: Path, content: bytes) -> bytes:
    """Put *content* into *file* unless it exists. Return what is in it then."""
    written = _beside(file, content, PRIVATE)
    try:
        os.link(written, file)
    except FileExistsError:
        return file.read_bytes()
    finally:
        written.unlink()
    return content


def _beside(file: Path, content: bytes, mode: int) -> Path:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "wb") as out:
        os.fchmod(handle, mode)
        out.write(content)
    return Path(name)
