"""Public keys of an issuer of tokens: a JWK set (RFC 7517, RFC 7518), or keys in PEM.

Imported late, where tokens are checked: `cryptography` takes time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from sidecar.policy.jwt import decoded

_BEGIN: Final = b"-----BEGIN "
_MOST: Final = 100
_BITS: Final = 2048
"""RFC 7518, section 3.3: an RSA key has at least so many."""
_HALF: Final = 32
"""Bytes of each of the two numbers of a signature with P-256 (RFC 7518, section 3.4)."""


class PublicKey(NamedTuple):
    """A key that verifies signatures of one algorithm."""

    id: str | None
    """None: it has none, and is tried for every token."""
    algorithm: Literal["RS256", "ES256"]
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether *signature* is of *signed*, with the private half of this key."""
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, signed, PKCS1v15(), SHA256())
            elif len(signature) != 2 * _HALF:
                return False
            else:
                r, s = (int.from_bytes(half) for half in (signature[:_HALF], signature[_HALF:]))
                self.key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


class _Jwk(Struct):
    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""
    d: object = None


class _JwkSet(Struct):
    keys: list[_Jwk]


def read_keys(text: bytes) -> tuple[PublicKey, ...]:
    """Return the keys in *text* that can verify tokens.

    Keys for other algorithms are left out. Raise ValueError, whose message completes a sentence
    that begins with the file's name, if there is none, or one that can't be used.
    """
    keys = tuple(_of_pem(text) if _BEGIN in text else _of_set(text))
    if not keys:
        raise ValueError("has no public key for RS256 or ES256")
    if len(keys) > _MOST:
        raise ValueError(f"has more than {_MOST} keys")
    return keys


def _of_pem(text: bytes) -> Iterator[PublicKey]:
    for rest in text.split(_BEGIN)[1:]:
        label = rest.partition(b"-----")[0]
        if label.endswith(b"PRIVATE KEY"):
            raise ValueError("has a private key; only public keys belong there")
        block, end, _ = rest.partition(b"-----END " + label + b"-----")
        try:
            key = load_pem_public_key(_BEGIN + block + end)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("has a public key that can't be read") from None
        made = _public(None, key)
        if made is not None:
            yield made


def _of_set(text: bytes) -> Iterator[PublicKey]:
    try:
        found = msgspec.json.decode(text, type=_JwkSet)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError('is no JWK set ({"keys": [...]}) and no public key in PEM') from None
    for jwk in found.keys:
        if jwk.kty not in ("RSA", "EC") or jwk.use not in (None, "sig"):
            continue
        if jwk.d is not None:
            raise ValueError("has a private key; only public keys belong there")
        if jwk.alg not in (None, "RS256", "ES256") or (jwk.kty == "EC" and jwk.crv != "P-256"):
            continue
        try:
            key = _numbers(jwk).public_key()
        except ValueError:
            raise ValueError("has a key whose numbers can't be right") from None
        made = _public(jwk.kid, key)
        if made is not None and jwk.alg in (None, made.algorithm):
            yield made


def _numbers(jwk: _Jwk) -> rsa.RSAPublicNumbers | ec.EllipticCurvePublicNumbers:
    if jwk.kty == "RSA":
        return rsa.RSAPublicNumbers(_number(jwk.e), _number(jwk.n))
    return ec.EllipticCurvePublicNumbers(_number(jwk.x), _number(jwk.y), ec.SECP256R1())


def _number(text: str) -> int:
    return int.from_bytes(decoded(text.encode()))


def _public(kid: str | None, key: object) -> PublicKey | None:
    """Return *key* for what it can verify; None if that is nothing."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _BITS:
            raise ValueError(f"has an RSA key of less than {_BITS} bits")
        return PublicKey(kid, "RS256", key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(kid, "ES256", key)
    return None
