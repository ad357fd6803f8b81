"""Numbers of the store that sidecars share."""

from __future__ import annotations

from collections import defaultdict

from sidecar.observe.histogram import Histogram


class StoreStats:
    """Questions to the store that sidecars share."""

    __slots__ = ("last_error", "results", "seconds", "state")

    def __init__(self) -> None:
        self.results: defaultdict[str, int] = defaultdict(int)
        """hit and miss; late, error, busy and refused; foreign: a value that is not ours."""
        self.seconds = Histogram()
        """Of answers that came in time."""
        self.state = "closed"
        """Of its circuit."""
        self.last_error = ""


class ExchangeStats:
    """Rounds in which sidecars tell each other what they have used."""

    __slots__ = ("alone", "last_error", "peers", "results", "seconds")

    def __init__(self) -> None:
        self.results: defaultdict[str, int] = defaultdict(int)
        """answered and failed rounds; late: a call waited in vain; lost: the store forgot."""
        self.seconds = Histogram()
        """Of rounds that were answered."""
        self.alone = False
        """Whether this sidecar goes by its own share, since the store does not answer."""
        self.peers = 1
        """Sidecars that share, this one too, as last told."""
        self.last_error = ""

    def shown(self) -> dict[str, object]:
        """Return what an operator sees of it."""
        return {
            "available": not self.alone,
            "peers": self.peers,
            "rounds": dict(self.results),
            "last_error": self.last_error or None,
        }
