"""The configuration in a file, which is read again when it changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sidecar.control.sources.base import Text
from sidecar.control.watcher import UNREADABLE, Contents, FileWatch
from sidecar.observe.reload_stats import SourceStats

if TYPE_CHECKING:
    from sidecar.control.sources.kept import Kept


class FileSource:
    """The file at *path*. Its revision is the beginning of its SHA-256."""

    def __init__(self, path: Path, kept: Kept | None = None) -> None:
        """*kept*: where the text that serves is kept, for a start at which the file's is bad."""
        self.stats = SourceStats(str(path))
        self._path = path
        self._kept = kept
        self._read: Text | None = None
        self._known: Contents = {}
        """What was read last: a reload may be asked for by others than our watch."""

    def read(self) -> Text:
        """Read the file. Raise OSError."""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            self._known[self._path] = UNREADABLE
            self.stats.failed(str(error))
            raise
        digest = hashlib.sha256(data)
        self._known[self._path] = digest.digest()
        self.stats.heard(digest.hexdigest()[:12])
        self._read = Text(data.decode("utf-8", errors="replace"), self.stats.revision)
        return self._read

    def accepted(self) -> None:
        """Keep what was read last: it serves."""
        if self._kept is not None and self._read is not None:
            self._kept.save(self._read)

    def last_good(self) -> Text | None:
        """Return what is kept."""
        kept = None if self._kept is None else self._kept.load()
        return None if kept is None else kept.text

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> NoReturn:
        """Await *changed* when the file's contents are others, however they were changed."""
        paths, known = [self._path], self._known
        await FileWatch(lambda: paths, changed, known=known, beside=self._unchanged).run()

    def _unchanged(self) -> bool:
        """Note that the file is as it was read."""
        if not self.stats.last_error:
            self.stats.last_heard = time.time()
        return False
