"""Which caller a client certificate names (RFC 5280; SPIFFE's X.509-SVID).

The certificate was verified in the handshake. What is left is the name, whether it may call, and
whether its time is over: a connection may live longer.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Any, Final, NamedTuple

LONGEST: Final = 512
"""Characters of a name. A longer one is nobody's."""
_SPIFFE: Final = "spiffe://"


class Denied(Exception):
    """What a caller shows does not let it in."""

    def __init__(
        self, reason: str, text: str, *, known: bool = False, others: bool = False
    ) -> None:
        """*reason*: a word for metrics. *known*: the caller is, but it may not call.

        *others*: what it shows may well be meant for somebody else.
        """
        super().__init__(text)
        self.reason = reason
        self.known = known
        self.others = others


class Allowed:
    """The names of callers that may call: globs in which `*` and `?` are special."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._names = [re.compile(translate(glob.replace("[", "[[]"))) for glob in globs]

    def __contains__(self, name: str) -> bool:
        return any(pattern.match(name) for pattern in self._names)


class ClientCertificate(NamedTuple):
    """What a client's certificate says."""

    names: Mapping[str, tuple[str, ...]]
    """By kind: spiffe, dns, cn."""
    until: float
    """Unix time."""


def read_certificate(shown: Mapping[str, Any] | None) -> ClientCertificate | None:
    """Read what `SSLObject.getpeercert` returns. None: the client has shown none."""
    if not shown:
        return None
    others: Sequence[tuple[str, str]] = shown.get("subjectAltName", ())
    subject = [pair for part in shown.get("subject", ()) for pair in part]
    uris = _names(others, "URI")
    return ClientCertificate(
        {
            # X.509-SVID, section 2: one with several URIs is none.
            "spiffe": uris if len(uris) == 1 and uris[0].startswith(_SPIFFE) else (),
            "dns": _names(others, "DNS"),
            "cn": _names(subject, "commonName"),
        },
        float(ssl.cert_time_to_seconds(shown["notAfter"])),
    )


def _names(pairs: Iterable[tuple[str, str]], kind: str) -> tuple[str, ...]:
    return tuple(value for key, value in pairs if key == kind)


class Certificates:
    """How certificates name callers: by the first of *kinds* that they have.

    One that has several names of that kind is the first of them that is in *allowed*.
    """

    def __init__(self, kinds: Sequence[str], allowed: Allowed) -> None:
        self._kinds = kinds
        self._allowed = allowed

    def caller(self, certificate: ClientCertificate, now: float) -> str:
        """Return the name of the caller that *certificate* is for. Raise Denied. *now*: Unix."""
        if now > certificate.until:
            raise Denied("expired", "the client certificate has expired")
        for kind in self._kinds:
            names = [name for name in certificate.names[kind] if is_name(name)]
            if names:
                for name in names:
                    if name in self._allowed:
                        return name
                raise Denied("not_allowed", f"{names[0]} may not call here", known=True)
        raise Denied("nameless", "the client certificate has no name of a kind that is used here")


def is_name(text: str) -> bool:
    """Whether *text* can be a caller's name: metrics, logs and limits go by it."""
    return 0 < len(text) <= LONGEST and text.isprintable() and text == text.strip()
