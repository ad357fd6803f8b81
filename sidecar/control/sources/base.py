"""What a source of configuration is. A watched file is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, Protocol

from sidecar.observe.reload_stats import SourceStats


class Text(NamedTuple):
    """A configuration as its source has it."""

    text: str
    revision: str
    """What tells this text from others of the source, in the source's own terms: a centre's
    revision, an ETag, a digest of a file. It is shown, and never compared."""


class Source(Protocol):
    """One place that holds the configuration. The reloader reads it, and reads it again on changes.

    A source never parses what it holds. Which text is taken, and which is refused, is decided by
    the reloader; files that the text refers to are watched by the reloader too.
    """

    @property
    def stats(self) -> SourceStats:
        """Its name, its revision, its last error, and when it was last heard from.

        `read` keeps these, and `watch` where it learns without reading that nothing has changed.
        """

    def read(self) -> Text:
        """Fetch the text. It may block: it is called in a thread, but for the start.

        Raise OSError when the source cannot be reached, or does not have the text.
        """

    def accepted(self) -> None:
        """Note that what was read last is served now. It may block for a write to disk."""

    def last_good(self) -> Text | None:
        """Return the text that was served last, by this process or one before it, if it is kept.

        It may block. None: there is none.
        """

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> NoReturn:
        """Await *changed* whenever the text may be another than the one that was read last.

        Never returns. What goes wrong is told by `stats`, and tried again.
        """
