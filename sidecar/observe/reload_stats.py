"""Numbers of the configuration: where it comes from, and what became of its reloads."""

from __future__ import annotations

import time


class SourceStats:
    """What is known of the source of the configuration."""

    __slots__ = ("errors", "last_error", "last_heard", "name", "revision")

    def __init__(self, name: str) -> None:
        self.name = name
        """A path or URL, without anything secret."""
        self.revision = ""
        """Of the text that was read last, in the source's own terms."""
        self.last_heard = 0.0
        """Unix seconds when the source was last read or found unchanged; 0 for never."""
        self.errors = 0
        """How often it could not be read."""
        self.last_error = ""
        """Why it can't be read now; empty while it can."""

    def heard(self, revision: str) -> None:
        """Note that the source was read."""
        self.revision = revision
        self.last_heard = time.time()
        self.last_error = ""

    def failed(self, error: str) -> None:
        """Note that the source can't be read."""
        self.errors += 1
        self.last_error = error


class ReloadStats:
    """What became of configuration reloads."""

    __slots__ = (
        "accepted",
        "awaited",
        "config_hash",
        "last_accepted",
        "last_error",
        "rejected",
        "unchanged",
        "warnings",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.warnings: tuple[str, ...] = ()
        """What is doubtful in the configuration that serves."""
        self.awaited: tuple[str, ...] = ()
        """Which files of keys it waits for."""
        self.rejected = 0
        self.unchanged = 0
        self.last_accepted = 0.0
        """Unix seconds; 0 when there was none."""
        self.last_error = ""
        """All errors of the last bad configuration, empty once a good one was taken."""
        self.config_hash = ""
