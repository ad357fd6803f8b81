"""A configuration that a server keeps: a centre such as etcd, or any web server.

Each kind of centre knows how to read a text and how to wait for the next one. What all have in
common is here: a thread that waits, retries that spread out, and the copy on disk with which a
sidecar starts while its centre is away.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NoReturn, Protocol, TypeVar

from sidecar.control.sources.base import Text
from sidecar.control.sources.kept import Kept
from sidecar.control.sources.web import Refused
from sidecar.observe.reload_stats import SourceStats
from sidecar.upstream.off_loop import off_loop

_log: Final = logging.getLogger(__name__)

T = TypeVar("T")
_FIRST: Final = 0.25
"""Seconds before the first retry; twice as many each time, and up to half of them at random."""
_LONGEST: Final = 15.0
_AT_ONCE: Final = 0.1
"""Least seconds between two questions."""


class Centre(Protocol):
    """A protocol. Its methods block, and are called in threads, one at a time."""

    @property
    def name(self) -> str:
        """The URL without secrets."""

    def read(self) -> Text:
        """Fetch the text. Raise OSError if it can't be had."""

    def wait(self) -> bool:
        """Return once the text may be another than `read` returned last (True), or after a while.

        False: the centre was heard, and it is the same. Nothing that happened between the two is
        missed. Raise OSError if the centre can't be asked.
        """

    def close(self) -> None:
        """End `read` or `wait` in another thread."""


class CentreSource:
    """What *centre* has; at the start, while it is away, what it had last (*kept*). A Source."""

    def __init__(self, centre: Centre, kept: Kept | None) -> None:
        self.stats = SourceStats(centre.name)
        self._centre = centre
        self._kept = kept
        self._read: Text | None = None
        """What was read last, whether or not it is fit to serve."""

    def read(self) -> Text:
        """Fetch the text; else return what was read last, at the start what is kept on disk.

        Raise OSError if there is neither.
        """
        try:
            text = asked(self._centre.read, self._centre.name)
        except OSError as error:
            self.stats.failed(str(error))
            if self._read is not None:  # another source may have changed meanwhile
                return self._read
            kept = None if self._kept is None else self._kept.load()
            if kept is None:
                raise
            age = time.time() - kept.written
            self.stats.revision, self.stats.last_heard = kept.text.revision, kept.written
            _log.warning(
                "%s; starting with the configuration of %.0f s ago, revision %s",
                error,
                age,
                kept.text.revision,
            )
            return kept.text
        self._read = text
        self.stats.heard(text.revision)
        return text

    def accepted(self) -> None:
        """Keep on disk what was read last: it serves."""
        if self._kept is not None and self._read is not None:
            self._kept.save(self._read)

    def last_good(self) -> Text | None:
        """Return what is kept on disk."""
        kept = None if self._kept is None else self._kept.load()
        return None if kept is None else kept.text

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> NoReturn:
        """Await *changed* whenever the centre may have another text. Never returns."""
        failures = 0
        try:
            while True:
                try:
                    if self._read is None or self.stats.last_error:
                        await self._tell(changed)  # reads again
                    else:
                        await self._wait(changed)
                except OSError as error:
                    if not self.stats.last_error:
                        _log.warning("%s; asking again", error)
                    self.stats.failed(str(error))
                failures = failures + 1 if self.stats.last_error else 0
                if failures:
                    await asyncio.sleep(pause(failures, random.random()))
        finally:
            self._centre.close()

    async def _wait(self, changed: Callable[[], Awaitable[None]]) -> None:
        began = time.monotonic()
        if await off_loop(partial(asked, self._centre.wait, self._centre.name)):
            await self._tell(changed)
        else:
            self.stats.heard(self.stats.revision)
        if time.monotonic() - began < _AT_ONCE:  # a centre that never lets us wait
            await asyncio.sleep(_AT_ONCE)

    async def _tell(self, changed: Callable[[], Awaitable[None]]) -> None:
        before = self.stats.last_error
        try:
            await changed()
        except Exception:  # a watch that ends would leave the process deaf to every later change
            _log.exception("internal error: a changed configuration was not taken up")
        if before and not self.stats.last_error:
            _log.info("the source answers again", extra={"source": self.stats.name})


def asked(ask: Callable[[], T], name: str) -> T:
    """Return what *ask* does. An answer of another form than the protocol's is an OSError too."""
    try:
        return ask()
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{name}: not an answer of this protocol ({type(error).__name__})") from None


def pause(failures: int, chance: float) -> float:
    """Return the seconds before the next try; *chance* is random, from 0 to 1."""
    longest = min(_LONGEST, _FIRST * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + chance / 2)
