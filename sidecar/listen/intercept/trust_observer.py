"""Learns from one intercepted connection whether its client trusts the local CA."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.listen.intercept.distrust import IN_A_ROW, refusal

if TYPE_CHECKING:
    from sidecar.listen.intercept.distrust import Client, Distrust

_log: Final = logging.getLogger(__name__)


class TrustObserver:
    """Observes a connection of *client*; what it tells is remembered for *remember* seconds.

    *counts* is called when the connection ends before a request, with whether the client is passed
    through from now on.
    """

    def __init__(
        self, client: Client, distrust: Distrust, remember: float, counts: Callable[[bool], None]
    ) -> None:
        self._client = client
        self._distrust = distrust
        self._remember = remember
        self._counts = counts
        self._began = time.monotonic()

    def called(self) -> None:
        """Note that the client has sent a request through our TLS."""
        self._distrust.called(self._client, time.monotonic() + self._remember)

    def left(self, error: BaseException | None) -> None:
        """Note that the connection ended before a request: with *error*, or in order."""
        if isinstance(error, ConnectionAbortedError):
            return  # uvloop's, when we have waited long enough
        now = time.monotonic()
        until = now + self._remember
        said = refusal(error)
        if said is not None:
            self._distrust.refused(self._client, until)
            self._passes_through(f"it says: {said}")
        elif self._distrust.left(self._client, self._began, now, until):
            self._passes_through(f"it left {IN_A_ROW} times in a row without a request")
        else:
            self._counts(False)

    def _passes_through(self, why: str) -> None:
        self._counts(True)
        _log.warning(
            "a client does not trust the local CA; its connections are passed through for a while",
            extra={
                "host": self._client.host,
                "client": self._client.peer,
                "why": why,
                "seconds": self._remember,
            },
        )
