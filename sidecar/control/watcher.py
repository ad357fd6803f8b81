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
from typing import TYPE_CHECKING, Final

from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

_log: Final = logging.getLogger(__name__)

_STEP: Final = 50
"""Milliseconds of silence that end a burst of events."""

_PAUSE: Final = 1.0
"""Seconds before watching again when it failed."""

Contents = dict[Path, bytes]
"""A hash for each file; empty bytes for one that cannot be read."""
_Places = dict[str, tuple[int, int]]
"""Watched directories, and the (device, inode) that each was when its watch began."""


def contents(paths: Iterable[Path]) -> Contents:
    """Hash each file."""
    return {path: _hash(path) for path in paths}


def _hash(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""


async def watch(
    paths: Callable[[], Iterable[Path]],
    changed: Callable[[], Awaitable[None]],
    *,
    known: Contents | None = None,
    beside: Callable[[], bool] = lambda: False,
    debounce: float = 0.2,
    poll: float = 10.0,
) -> None:
    """Await *changed* whenever the contents of *paths* are others than they were; never return.

    *known* is what the caller took the contents to be before it loaded them; absent, what they are
    now. *paths* is asked again after each change; a path that is new counts as changed, since it
    may have changed after the caller read it. *beside* tells, at each look, whether anything else
    has changed that is not worth a watch of its own. *debounce* is how long a burst of events may
    delay the look, *poll* how often to look when there is no event (both in seconds): network file
    systems send none.
    """
    watching = _Watching(debounce, poll)
    loop = asyncio.get_running_loop()
    try:
        seen = await off_loop(partial(contents, list(paths()))) if known is None else known
        while True:
            now = await off_loop(partial(watching.look, list(paths())))
            other = any(seen.get(path) != digest for path, digest in now.items())
            if other or await off_loop(beside):
                seen = now
                await _tell(changed)
            else:
                # Not in a daemon thread: how Python ends those at its exit, Rust can't bear.
                await loop.run_in_executor(None, watching.wait)
    finally:
        watching.stop()


async def _tell(changed: Callable[[], Awaitable[None]]) -> None:
    try:
        await changed()
    except Exception:
        # A watcher that dies here would leave the process deaf to every later change.
        _log.exception("a changed file could not be taken up")


class _Watching:
    """The notifications of one set of directories, replaced when one of them is another one."""

    def __init__(self, debounce: float, poll: float) -> None:
        self._debounce = int(debounce * 1000)
        self._poll = int(poll * 1000)
        self._stop = Event()
        self._places: _Places = {}
        self._notify: RustNotify | None = None

    def look(self, files: Sequence[Path]) -> Contents:
        """Hash *files*. Their directories are watched first: what changes meanwhile is an event."""
        places = _places(files)
        if places and (places != self._places or self._notify is None):
            self._replace(places)
        return contents(files)

    def wait(self) -> None:
        """Return after a burst of events, or after *poll* without one, or at `stop`."""
        if self._notify is None:
            self._stop.wait(self._poll / 1000)
            return
        try:
            events = self._notify.watch(self._debounce, _STEP, self._poll, self._stop)
        except RuntimeError as error:
            _log.warning("watching files failed, beginning again: %s", error)
            self._drop()
            self._stop.wait(_PAUSE)
            return
        # A directory that was deleted may come back with the same inode, but without our watch.
        if not isinstance(events, str) and any(path in self._places for _, path in events):
            self._drop()

    def stop(self) -> None:
        """End `wait`, now and ever after."""
        self._stop.set()

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
            _log.warning("files are not watched, only polled: %s", error)

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
