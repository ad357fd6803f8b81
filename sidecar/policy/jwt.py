"""Tokens that are checked without asking anybody: JWTs (RFC 7519), as Kubernetes issues them.

A token is taken if a known key has signed it with the key's own algorithm (RFC 8725, sections 3.1
and 3.2), for the right issuer and audience, at this time. Header and claims are not believed before
the signature is checked; whose token it is is looked at only to leave those of others alone.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct

from sidecar.policy.client_certificates import Allowed, Denied, is_name
from sidecar.policy.lru import Lru

if TYPE_CHECKING:
    from sidecar.policy.jwks import PublicKey

_PART: Final = re.compile(rb"[A-Za-z0-9_-]+")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_MOST: Final = 16 * 1024
"""Bytes of a token."""
_KNOWN: Final = 4096
"""Tokens that are remembered, so that the calls with one don't check its signature each."""


def _not_ours(reason: str, text: str) -> Denied:
    return Denied(reason, text, others=True)


class TokenRules(NamedTuple):
    """Which tokens are taken."""

    issuer: str
    audiences: frozenset[str]
    leeway: float
    """Seconds that clocks may differ."""
    allowed: Allowed
    header: bytes = b"authorization"
    """Where they come, in lower case."""


class _Header(Struct):
    alg: str
    kid: str | None = None
    crit: object = UNSET


class _Claims(Struct):
    iss: str
    sub: str | None = None
    aud: str | list[str] | None = None
    exp: float | None = None
    nbf: float | None = None


_header: Final = msgspec.json.Decoder(_Header)
_claims: Final = msgspec.json.Decoder(_Claims)


class _Token(NamedTuple):
    header: _Header
    claims: _Claims
    signed: bytes
    signature: bytes


class Tokens:
    """Tokens of one issuer. Those that were taken are remembered by their digests, until they end.

    How long a look-up takes tells nothing of them: it goes by a hash with a secret of this process.
    """

    def __init__(self, rules: TokenRules, keys: Sequence[PublicKey]) -> None:
        self.header = rules.header
        self._rules = rules
        self._keys = keys
        self._secret = os.urandom(32)
        self._taken: Lru[bytes, tuple[bytes, str, float]] = Lru(_KNOWN)

    def caller(self, token: bytes, now: float) -> str:
        """Return whose *token* it is. *now*: Unix time. Raise Denied."""
        digest = hashlib.sha256(token).digest()
        place = hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()
        known = self._taken.get(place)
        if known is not None and hmac.compare_digest(known[0], digest) and now < known[2]:
            return known[1]
        name, ends = self._check(_read(token), now)
        self._taken.put(place, (digest, name, ends), 1)
        return name

    def _check(self, token: _Token, now: float) -> tuple[str, float]:
        """Return the name of the caller, and when the token ends."""
        rules, claims = self._rules, token.claims
        if claims.iss != rules.issuer:
            raise _not_ours("wrong_issuer", "the token is of another issuer")
        self._check_signature(token)
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if rules.audiences.isdisjoint(audiences):
            raise Denied("wrong_audience", "the token is for another audience")
        if claims.exp is None:
            raise Denied("malformed", "the token never expires")
        ends = claims.exp + rules.leeway
        if now >= ends:
            raise Denied("expired", "the token has expired")
        if claims.nbf is not None and now < claims.nbf - rules.leeway:
            raise Denied("not_yet_valid", "the token is not valid yet")
        name = claims.sub or ""
        if not is_name(name):
            raise Denied("nameless", "the token has no subject that could be a name")
        if name not in rules.allowed:
            raise Denied("not_allowed", f"{name} may not call here", known=True)
        return name, ends

    def _check_signature(self, token: _Token) -> None:
        header = token.header
        if header.alg not in ("RS256", "ES256"):
            raise Denied("bad_algorithm", "the token is not signed with RS256 or ES256")
        if header.crit is not UNSET:  # RFC 7515, section 4.1.11: what we don't know may not be
            raise Denied("malformed", "the token has a critical extension")
        keys = list(_keys_for(header, self._keys))
        if not keys:
            raise Denied("unknown_key", "the token is signed with a key that is not known here")
        if not any(key.verifies(token.signed, token.signature) for key in keys):
            raise Denied("bad_signature", "the token's signature is wrong")


def _keys_for(header: _Header, keys: Iterable[PublicKey]) -> Iterable[PublicKey]:
    """Yield the keys that may have signed: a key with an id signs only what names it."""
    return (key for key in keys if key.algorithm == header.alg and key.id in (None, header.kid))


def _read(token: bytes) -> _Token:
    parts = token.split(b".")
    if len(token) > _MOST or len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        raise _not_ours("malformed", "it is no token")
    try:
        header, claims, signature = map(decoded, parts)
        return _Token(
            _header.decode(header),
            _claims.decode(claims),
            token[: len(parts[0]) + 1 + len(parts[1])],
            signature,
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _not_ours("malformed", "it is no token") from None


def decoded(text: bytes) -> bytes:
    """Decode base64url without padding (RFC 7515, appendix C). Raise ValueError."""
    if not _PART.fullmatch(text):
        raise ValueError("not base64url")
    standard = text.translate(_STANDARD) + b"=" * (-len(text) % 4)
    data = binascii.a2b_base64(standard, strict_mode=True)
    if binascii.b2a_base64(data, newline=False) != standard:
        raise ValueError("bits behind the last byte")
    return data
