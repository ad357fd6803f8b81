"""The last good text of a centre, on disk: with it a sidecar starts while the centre is away."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from sidecar.control.sources.base import Text

_log: Final = logging.getLogger(__name__)


class Found(NamedTuple):
    """A kept text."""

    text: Text
    written: float
    """When it was accepted, in Unix seconds."""


class _File(msgspec.Struct):
    source: str
    revision: str
    written: float
    text: str


def default_folder() -> Path:
    """`SIDECAR_STATE`, or what the XDG Base Directory Specification says."""
    said = os.environ.get("SIDECAR_STATE")
    if said:
        return Path(said)
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else Path("~/.local/state").expanduser()
    return base / "llm-sidecar"


class Kept:
    """The file for the source *name* in *folder*. Only its owner can read it: it may have keys."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._path = folder / f"config-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        self._saved: Text | None = None
        self._complained = False

    def load(self) -> Found | None:
        """Return what was saved last; None if there is none that can be read."""
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if file.source != self._name:
            return None
        return Found(Text(file.text, file.revision), file.written)

    def save(self, text: Text) -> None:
        """Write *text*, whole or not at all. A disk that fails is told once, and costs no more."""
        if text == self._saved:
            return
        data = msgspec.json.encode(_File(self._name, text.revision, time.time(), text.text))
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path, data)
        except OSError as error:
            if not self._complained:
                _log.warning(
                    "the configuration can't be kept for a start without its source: %s", error
                )
            self._complained = True
            return
        self._saved, self._complained = text, False


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # for its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
