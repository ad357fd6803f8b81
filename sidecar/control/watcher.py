"""Notice that files have other contents, however they were changed.

The directories of the files are watched, never the files: a ConfigMap's `..data` swap, a rename by
an editor and delete + recreate all give a path a new inode, on which a file's watch goes silent.
Events only say when to look; what counts is a hash of the contents.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final, NoReturn

from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

_log: Final = logging.getLogger(__name__)

_STEP: Final = 50
"""Milliseconds of silence that end a burst of events."""

_PAUSE: Final = 1.0
"""Seconds before watching again when it failed."""

Contents = dict[Path, bytes]
"""The SHA-256 of each file, or UNREADABLE."""
UNREADABLE: Final = b""
_Places = dict[str, tuple[int, int]]
"""Watched directories, and the (device, inode) that each was when its watch began."""


def contents(paths: Iterable[Path]) -> Contents:
    """Hash each file."""
    return {path: _hash(path) for path in paths}


def _hash(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return UNREADABLE


class FileWatch:
    """Awaits *changed* whenever the contents of *paths* are others than they were.

    *known* is what the caller took the contents to be before it loaded them; absent, what they are
    when the watch begins. It is kept up to date here, and the caller may do so as well when it has
    read a file by itself. *paths* is asked at each look; a path that is new counts as changed,
    since it may have changed after the caller read it. *beside* tells, at each look at which no
    file has changed, whether anything else has that is not worth a watch of its own. *debounce* is
    how long a burst of events may delay the look, *poll* how often to look when there is no event
    (both in seconds): network file systems send none.
    """

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        changed: Callable[[], Awaitable[None]],
        *,
        known: Contents | None = None,
        beside: Callable[[], bool] = lambda: False,
        debounce: float = 0.2,
        poll: float = 10.0,
    ) -> None:
        self._paths = paths
        self._changed = changed
        self._known = known
        self._beside = beside
        self._watching = _Watching(debounce, poll)

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        watching, known = self._watching, self._known
        loop = asyncio.get_running_loop()
        try:
            if known is None:
                known = await off_loop(partial(contents, list(self._paths())))
            while True:
                now = await off_loop(partial(watching.look, list(self._paths())))
                other = any(known.get(path) != digest for path, digest in now.items())
                if other or await off_loop(self._beside):
                    known.clear()
                    known.update(now)
                    await _tell(self._changed)
                else:
                    # Not in a daemon thread: how Python ends those at its exit, Rust can't bear.
                    await loop.run_in_executor(None, watching.wait)
        finally:
            watching.stop()

    def look_again(self) -> None:
        """Look soon, without waiting for an event: *paths* may be others now."""
        self._watching.wake()


async def _tell(changed: Callable[[], Awaitable[None]]) -> None:
    try:
        await changed()
    except Exception:
        # A watcher that dies here would leave the process deaf to every later change.
        _log.exception("internal error: a changed file was not taken up")


class _Watching:
    """The notifications of one set of directories, replaced when one of them is another one."""

    def __init__(self, debounce: float, poll: float) -> None:
        self._debounce = int(debounce * 1000)
        self._poll = int(poll * 1000)
        self._wake = Event()
        """Ends `wait`."""
        self._stopped = False
        self._places: _Places = {}
        self._notify: RustNotify | None = None

    def look(self, files: Sequence[Path]) -> Contents:
        """Hash *files*. Their directories are watched first: what changes meanwhile is an event."""
        places = _places(files)
        if places and (places != self._places or self._notify is None):
            self._replace(places)
        return contents(files)

    def wait(self) -> None:
        """Return after a burst of events, or after *poll* without one, or at `wake` or `stop`."""
        self._wait()
        if not self._stopped:
            self._wake.clear()

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        self._wake.set()

    def stop(self) -> None:
        """End `wait`, now and ever after."""
        self._stopped = True
        self._wake.set()

    def _wait(self) -> None:
        if self._notify is None:
            self._wake.wait(self._poll / 1000)
            return
        try:
            events = self._notify.watch(self._debounce, _STEP, self._poll, self._wake)
        except RuntimeError as error:
            _log.warning("watching files failed and is begun anew: %s", error)
            self._drop()
            self._wake.wait(_PAUSE)
            return
        # A directory that was deleted may come back with the same inode, but without our watch.
        if not isinstance(events, str) and any(path in self._places for _, path in events):
            self._drop()

    def _replace(self, places: _Places) -> None:
        self._drop()
        self._places = places
        # Imported late: with no file to watch, its 3 MB stay on disk. Its `awatch` would open the
        # watch only after we could have looked.
        from watchfiles._rust_notify import RustNotify

        try:
            self._notify = RustNotify(list(places), False, False, 0, False, True)
        except OSError as error:
            # Gone again since we looked, or out of inotify watches: look every *poll* seconds.
            _log.warning("files can't be watched and are only polled: %s", error)

    def _drop(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None


def _places(files: Iterable[Path]) -> _Places:
    places: _Places = {}
    for directory in {path.absolute().parent for path in files}:
        _add_place(places, directory)
    return places


def _add_place(places: _Places, directory: Path) -> None:
    """Add *directory*, or while it does not exist the nearest one above, where it will appear."""
    for place in (directory, *directory.parents):
        try:
            status = os.stat(place)
        except OSError:
            continue
        places[str(place)] = (status.st_dev, status.st_ino)
        return
