"""The configuration in a file, which is read again when it changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from sidecar.control.sources.base import Text
from sidecar.control.watcher import UNREADABLE, Contents, FileWatch
from sidecar.observe.stats import SourceStats


class FileSource:
    """The file at *path*. Its revision is the beginning of its SHA-256."""

    def __init__(self, path: Path) -> None:
        self.stats = SourceStats(str(path))
        self._path = path
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
        return Text(data.decode("utf-8", errors="replace"), self.stats.revision)

    def accepted(self) -> None:
        """Do nothing: the file is there."""

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> NoReturn:
        """Await *changed* when the file's contents are others, however they were changed."""
        paths, known = [self._path], self._known
        await FileWatch(lambda: paths, changed, known=known, beside=self._unchanged).run()

    def _unchanged(self) -> bool:
        """Note that the file is as it was read."""
        if not self.stats.last_error:
            self.stats.last_heard = time.time()
        return False
