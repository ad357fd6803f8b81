"""Which clients do not trust the local CA, judged by how their connections end. Pure.

Only a TLS alert says it for certain. Node sends none when it dislikes a certificate, nor does
GnuTLS (wget, git): they leave, within the handshake or right behind it. But so does a client that
trusts us and has dialed in vain: a pool that dials more connections than it comes to need (Go,
Rust), a dial that is given up (Python), one that replaces a broken stream's (undici). So an end
without an alert counts when the next one follows it, and never for a client that has called.
Several connections that end together are one end: a program that ends, or cancels what it began.
"""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

from sidecar.policy.remember import Remembered, Row

IN_A_ROW: Final = 2
"""Attempts. The SDKs make three, so that the third of a client that distrusts us succeeds."""
_MOST: Final = 4096
"""Clients of each kind that are remembered."""
_ALERTS: Final = ("SSLV3_ALERT_", "TLSV1_ALERT_", "TLSV13_ALERT_")
"""How OpenSSL begins the names of alerts that it received."""
_NO_REFUSALS: Final = frozenset({"INTERNAL_ERROR", "USER_CANCELLED", "UNEXPECTED_MESSAGE"})
"""Alerts by which a client gives up for reasons of its own (RFC 8446, section 6)."""
_NO_AGREEMENT: Final = ("NO_", "UNSUPPORTED_", "VERSION_TOO_", "WRONG_SIGNATURE_TYPE")
"""How OpenSSL's own reasons begin by which client and leaf have nothing in common."""


class Client(NamedTuple):
    """A client, as far as it can be told from others, and the host that it asks for."""

    peer: str
    host: str
    fingerprint: bytes
    """The fingerprint of its TLS stack: programs of one machine share an address."""


class Distrust:
    """What was learned of clients. Times are on the caller's clock, in seconds."""

    def __init__(self) -> None:
        self._refused: Remembered[Client] = Remembered(_MOST)
        self._left: Remembered[Client] = Remembered(_MOST)
        self._called: Remembered[Client] = Remembered(_MOST)
        self._ends: Row[Client] = Row(_MOST)

    def has(self, client: Client, now: float) -> bool:
        """Whether *client* is believed to distrust the local CA."""
        return self._refused.has(client, now) or self._left.has(client, now)

    def refused(self, client: Client, until: float) -> None:
        """Note that *client* has sent an alert that says so."""
        self._refused.add(client, until)

    def left(self, client: Client, began: float, now: float, until: float) -> bool:
        """Note that *client* left without a request, on a connection that *began* then.

        True if it is now taken for one that does not trust us.
        """
        if self._called.has(client, now):
            return False
        if self._ends.add(client, began, now, until) < IN_A_ROW:
            return False
        self._ends.forget(client)
        self._left.add(client, until)
        return True

    def called(self, client: Client, until: float) -> None:
        """Note that *client* has sent a request, so it trusts us. An alert before stays noted."""
        self._called.add(client, until)
        self._left.forget(client)
        self._ends.forget(client)


def refusal(error: BaseException | None) -> str | None:
    """Return the alert in *error* by which a client rejects us (`unknown ca`), if it is one."""
    reason = str(getattr(error, "reason", "")) if isinstance(error, ssl.SSLError) else ""
    for prefix in _ALERTS:
        alert = reason.removeprefix(prefix)
        if alert != reason:
            return None if alert in _NO_REFUSALS else _said(alert)
    return _said(reason) if reason.startswith(_NO_AGREEMENT) else None


def _said(reason: str) -> str:
    return reason.lower().replace("_", " ")
