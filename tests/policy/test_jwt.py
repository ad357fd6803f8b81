"""Which tokens are taken, and whose they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.client_certificates import Allowed, Denied
from sidecar.policy.jwks import read_keys
from sidecar.policy.jwt import TokenRules, Tokens
from tests.tokens import (
    CLAIMS,
    ISSUER,
    NOW,
    SUBJECT,
    Signer,
    b64,
    joined,
    jwks,
    unsigned,
    with_secret,
)

RSA, EC, OTHER = Signer("RS256", "rsa"), Signer("ES256", "ec"), Signer("RS256", "rsa")
NAMELESS = Signer("ES256")
RULES = TokenRules(ISSUER, frozenset({"llm-sidecar", "b"}), 60.0, Allowed(["system:*", "x*"]))
KEYS = read_keys(jwks(RSA, EC))


def tokens(keys: bytes | None = None) -> Tokens:
    return Tokens(RULES, KEYS if keys is None else read_keys(keys))


def reason(token: bytes, known: Tokens | None = None, now: float = NOW) -> str:
    with pytest.raises(Denied) as caught:
        (known or tokens()).caller(token, now)
    return caught.value.reason


@pytest.mark.parametrize("signer", [RSA, EC])
def test_a_good_token_is_its_service_accounts(signer: Signer) -> None:
    known = tokens()
    for _ in range(2):  # the second time it is remembered
        assert known.caller(signer.token(), NOW) == SUBJECT
    assert known.caller(signer.token(aud="b", nbf=None, sub="x"), NOW) == "x"
    assert known.caller(signer.token(exp=NOW - 59, nbf=NOW + 59), NOW) == SUBJECT


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (RSA.token(exp=NOW - 60), "expired"),
        (RSA.token(exp=None), "malformed"),
        (RSA.token(nbf=NOW + 61), "not_yet_valid"),
        (RSA.token(aud=["https://kubernetes.default.svc"]), "wrong_audience"),
        (RSA.token(aud=None), "wrong_audience"),
        (RSA.token(aud=[]), "wrong_audience"),
        (RSA.token(aud="llm"), "wrong_audience"),
        (RSA.token(iss=ISSUER + "/"), "wrong_issuer"),
        (RSA.token(iss=None), "malformed"),
        (RSA.token(sub=None), "nameless"),
        (RSA.token(sub=""), "nameless"),
        (RSA.token(sub="x\n"), "nameless"),
        (RSA.token(sub=" "), "nameless"),
        (RSA.token(sub="x "), "nameless"),
        (RSA.token(sub="x" * 513), "nameless"),
        (RSA.token(sub="nobody"), "not_allowed"),
        (RSA.token(exp=str(NOW + 9)), "malformed"),
        (RSA.token(aud=[1]), "malformed"),
        (RSA.token({"kid": "gone"}), "unknown_key"),
        (RSA.token({"kid": None}), "unknown_key"),
        (RSA.token({"kid": "ec"}), "unknown_key"),  # the key is for ES256
        (RSA.token({"crit": ["b64"], "b64": False}), "malformed"),
        (RSA.token({"alg": "ES256"}), "unknown_key"),
        (RSA.token({"alg": "ES256", "kid": "ec"}), "bad_signature"),
        (EC.token({"alg": "RS256", "kid": "rsa"}), "bad_signature"),
        (RSA.token({"alg": "RS512"}), "bad_algorithm"),
        (RSA.token({"alg": "rs256"}), "bad_algorithm"),
        (OTHER.token(), "bad_signature"),
        (unsigned({"alg": "none"}, b"x"), "bad_algorithm"),
        (unsigned({"alg": "none"}), "malformed"),
        (unsigned({"alg": "None", "kid": "rsa"}, b"x"), "bad_algorithm"),
        (unsigned({"alg": "ES256", "kid": "ec"}, bytes(64)), "bad_signature"),  # CVE-2022-21449
        (with_secret(RSA.pem, {"alg": "HS256", "kid": "rsa"}), "bad_algorithm"),
        (with_secret(RSA.pem, {"alg": "RS256", "kid": "rsa"}), "bad_signature"),
        (with_secret(json.dumps(RSA.jwk).encode(), {"alg": "HS256"}), "bad_algorithm"),
        (b"", "malformed"),
        (b"sk-proj-something", "malformed"),
        (b"a.b", "malformed"),
        (b"e30.e30.AA", "malformed"),
        (RSA.token() + b".AA", "malformed"),
        (RSA.token() + b"=", "malformed"),
        (RSA.token() + b"\n", "malformed"),
        (b"." + RSA.token().split(b".", 1)[1], "malformed"),
        (b"[" * 9000 + b"." + b"a.a", "malformed"),
        (b64(b"[" * 3000).encode() + b".e30.AA", "malformed"),
        (RSA.token(more="x" * 20_000), "malformed"),
    ],
)  # fmt: skip
def test_others_are_denied(token: bytes, why: str) -> None:
    assert reason(token) == why


def test_what_is_not_ours_may_be_somebody_elses() -> None:
    for token, others in (
        (b"sk-proj-x", True),
        (RSA.token(iss="https://other"), True),
        (RSA.token(exp=NOW - 99), False),
        (OTHER.token(), False),
    ):
        with pytest.raises(Denied) as caught:
            tokens().caller(token, NOW)
        assert caught.value.others is others
    with pytest.raises(Denied) as caught:
        tokens().caller(RSA.token(sub="nobody"), NOW)
    assert caught.value.known


def test_a_token_is_not_remembered_beyond_its_end() -> None:
    known = tokens()
    token = RSA.token(exp=NOW + 10)
    assert known.caller(token, NOW) == SUBJECT
    assert known.caller(token, NOW + 69) == SUBJECT
    assert reason(token, known, NOW + 70) == "expired"


GOOD = [RSA.token(), EC.token()]
SHARED = tokens()


@given(st.sampled_from(GOOD), st.data())
def test_no_token_that_was_changed_is_taken(token: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = token[:at] + bytes([byte]) + token[at + 1 :]
    if changed != token:
        assert reason(changed, SHARED)


@given(st.sampled_from(GOOD), st.data())
def test_no_token_that_was_cut_is_taken(token: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(token) - 1))
    assert reason(token[:at], SHARED)
    assert reason(token[at + 1 :], SHARED)


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=70))
def test_any_bytes_are_denied(header: bytes, claims: bytes, signature: bytes) -> None:
    parts = (header, claims, signature)
    assert reason(b".".join(b64(part).encode() for part in parts), SHARED)
    assert reason(header + b"." + claims + b"." + signature, SHARED)


@given(st.sampled_from([RSA, EC]), st.binary(max_size=300))
def test_any_signature_is_wrong(signer: Signer, signature: bytes) -> None:
    head = {"alg": signer.algorithm, "kid": signer.kid}
    token = joined(head, CLAIMS) + b"." + b64(signature).encode()
    assert reason(token, SHARED) in ("bad_signature", "malformed")


def test_bits_behind_the_last_byte_are_none() -> None:
    token = RSA.token()  # of 256 bytes, the last character has 2 bits of 6
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    taken = [each for each in letters if not _denied(token[:-1] + bytes([each]))]
    assert bytes(taken) == token[-1:]


def _denied(token: bytes) -> bool:
    try:
        return not SHARED.caller(token, NOW)
    except Denied:
        return True


def test_a_key_without_an_id_is_tried_for_every_token() -> None:
    for keys in (jwks(NAMELESS, RSA), NAMELESS.pem + RSA.pem):
        assert tokens(keys).caller(NAMELESS.token({"kid": "any"}), NOW) == SUBJECT
        assert tokens(keys).caller(NAMELESS.token({"kid": None}), NOW) == SUBJECT
        assert reason(EC.token(), tokens(keys)) == "bad_signature"
