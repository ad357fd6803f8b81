"""Tokens as an issuer makes them, and as forgers do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000.0
ISSUER = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:prod:billing"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": SUBJECT,
    "aud": ["llm-sidecar"],
    "exp": NOW + 600,
    "nbf": NOW - 600,
    "iat": NOW - 600,
    "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "billing", "uid": "1"}},
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


class Signer:
    """An issuer's key."""

    def __init__(self, algorithm: str, kid: str | None = None, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self.key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if algorithm == "RS256":
            self.key = rsa.generate_private_key(65537, bits)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, Any]:
        known = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if isinstance(self.key, rsa.RSAPrivateKey):
            rsa_numbers = self.key.public_key().public_numbers()
            return known | {"kty": "RSA", "n": number(rsa_numbers.n), "e": number(rsa_numbers.e)}
        point = self.key.public_key().public_numbers()
        halves = {"x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
        return known | {"kty": "EC", "crv": "P-256"} | halves

    @property
    def pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        halves = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
        return b"".join(half.to_bytes(32) for half in halves)

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> bytes:
        """Sign CLAIMS with changes; None leaves one out."""
        head = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid} | (header or {})
        body = {key: value for key, value in (CLAIMS | claims).items() if value is not None}
        signed = joined(head, body)
        return signed + b"." + b64(self.sign(signed)).encode()


def joined(header: dict[str, Any], claims: dict[str, Any]) -> bytes:
    return b".".join(b64(json.dumps(part).encode()).encode() for part in (header, claims))


def unsigned(header: dict[str, Any], signature: bytes = b"") -> bytes:
    return joined(header, CLAIMS) + b"." + b64(signature).encode()


def with_secret(secret: bytes, header: dict[str, Any]) -> bytes:
    """HS256: what a forger makes who takes the public key for a shared secret."""
    signed = joined(header, CLAIMS)
    return signed + b"." + b64(hmac.digest(secret, signed, hashlib.sha256)).encode()


def jwks(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()
