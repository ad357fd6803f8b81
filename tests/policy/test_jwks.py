"""Public keys of an issuer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from sidecar.policy.jwks import read_keys
from tests.tokens import Signer, jwks

RSA, EC = Signer("RS256", "r"), Signer("ES256", "e")
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())
P384 = OTHER_CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PRIVATE = RSA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PKCS1 = RSA.key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)


def keyset(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (jwks(RSA, EC), [("r", "RS256"), ("e", "ES256")]),
        (keyset(RSA.jwk | {"kid": None, "use": None, "alg": None}), [(None, "RS256")]),
        (keyset(EC.jwk, RSA.jwk | {"use": "enc"}), [("e", "ES256")]),
        (keyset(EC.jwk, RSA.jwk | {"alg": "RS512"}), [("e", "ES256")]),
        (keyset(EC.jwk, RSA.jwk | {"alg": "ES256"}), [("e", "ES256")]),
        (keyset(EC.jwk, EC.jwk | {"crv": "P-384"}), [("e", "ES256")]),
        (keyset(EC.jwk, {"kty": "oct", "k": "AA"}, {"kty": "OKP"}), [("e", "ES256")]),
        (RSA.pem + b"\n" + EC.pem, [(None, "RS256"), (None, "ES256")]),
        (PKCS1, [(None, "RS256")]),
        (P384 + EC.pem, [(None, "ES256")]),
    ],
)
def test_keys_that_can_verify(text: bytes, found: list[tuple[str | None, str]]) -> None:
    assert [(key.id, key.algorithm) for key in read_keys(text)] == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is no JWK set"),
        (b"[]", "is no JWK set"),
        (b"{}", "is no JWK set"),
        (b"\xff", "is no JWK set"),
        (b"[" * 5000, "is no JWK set"),
        (keyset(), "has no public key for RS256 or ES256"),
        (keyset({"kty": "oct", "k": "AA"}), "has no public key for RS256 or ES256"),
        (P384, "has no public key for RS256 or ES256"),
        (PRIVATE, "has a private key"),
        (keyset(EC.jwk | {"d": "AA"}), "has a private key"),
        (jwks(Signer("RS256", bits=1024)), "has an RSA key of less than 2048 bits"),
        (keyset(RSA.jwk | {"n": ""}), "has a key whose numbers can't be right"),
        (keyset(RSA.jwk | {"n": "a+b"}), "has a key whose numbers can't be right"),
        (keyset(EC.jwk | {"x": EC.jwk["y"]}), "has a key whose numbers can't be right"),
        (EC.pem[:60] + b"AAAA" + EC.pem[64:], "has a public key that can't be read"),
        (EC.pem[:-30], "has a public key that can't be read"),
        (jwks(*[EC] * 101), "has more than 100 keys"),
    ],
)
def test_files_that_are_wrong(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        read_keys(text)
