"""Callers with a token of a service account."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sockets.scripted import Fleet, Scripted, chat
from tests.sockets.test_access import CALLERS
from tests.tokens import ISSUER, SUBJECT, Signer, jwks

SIGNER, NEXT = Signer("RS256", "one"), Signer("ES256", "two")


def listener(folder: Path, *, callers: Any = None, **tokens: Any) -> dict[str, Any]:
    (folder / "jwks.json").write_bytes(jwks(SIGNER))
    known = {"keys": str(folder / "jwks.json"), "issuer": ISSUER, "audiences": ["llm-sidecar"]}
    return {"access": {"tokens": known | tokens, "callers": callers or {}}}


def line(
    signer: Signer = SIGNER, header: bytes = b"Authorization: Bearer ", **claims: Any
) -> bytes:
    now = time.time()
    return header + signer.token(**{"exp": now + 600, "nbf": now - 600} | claims)


@pytest.mark.parametrize("header", ["authorization", "X-Token"])
async def test_a_token_names_its_caller_and_stays_here(tmp_path: Path, header: str) -> None:
    server = Scripted("one")
    policy = {"limits": {"client": {"rate": {"per_second": 0.001, "burst": 1}}}}
    config = listener(tmp_path, header=header)
    async with Fleet(server, listener=config, policy=policy) as stage:
        sent = line(header=f"{header}: Bearer ".encode())
        assert (await stage.gets(chat("m", sent)))[0] == 200
        assert header.lower().encode() + b":" not in server.requests[0].lower()
        assert (await stage.gets(chat("m", sent)))[0] == 429  # the next call of the same caller
        other = line(header=f"{header}: ".encode(), sub="system:serviceaccount:a:b")
        assert (await stage.gets(chat("m", other)))[0] == 200
        assert [record.team for record in stage.serving.calls][-1] == SUBJECT


async def test_a_token_of_another_issuer_may_be_a_providers_key(tmp_path: Path) -> None:
    server = Scripted("one")
    theirs = line(NEXT, iss="https://login.provider.example")
    async with Fleet(server, listener=listener(tmp_path, callers=CALLERS)) as stage:
        asked = chat("m", b"x-sidecar-key: key-of-search", theirs)
        assert (await stage.gets(asked))[0] == 200
        assert theirs in server.requests[0]
        ours = chat("m", b"x-api-key: key-of-search", line())
        assert (await stage.gets(ours))[0] == 200
        assert b"authorization" not in server.requests[1].lower()
        assert b"key-of-search" not in server.requests[1]
        expired = chat("m", b"x-api-key: key-of-search", line(exp=1))
        assert (await stage.gets(expired))[0] == 401
        assert server.calls == 2


async def test_others_are_refused_and_counted_by_reason(tmp_path: Path) -> None:
    server = Scripted("one")
    config = listener(tmp_path, allow=["system:serviceaccount:prod:*"])
    async with Fleet(server, listener=config) as stage:
        for sent, status, reason, text in (
            (line(exp=1), 401, "expired", "the token has expired"),
            (line(aud="x"), 401, "wrong_audience", "another audience"),
            (line(iss="x"), 401, "wrong_issuer", "another issuer"),
            (line(NEXT), 401, "unknown_key", "not known here"),
            (line(Signer("RS256", "one")), 401, "bad_signature", "signature is wrong"),
            (b"Authorization: Bearer sk-x", 401, "wrong", "expected a token"),
            (b"a: b", 401, "missing", "is missing a token"),
            (line(sub="system:serviceaccount:dev:x"), 403, "not_allowed", "dev:x may not call"),
        ):
            got, body, reply = await stage.gets(chat("m", sent))
            assert got == status, reason
            assert reply.code == ("caller_not_allowed" if status == 403 else "unauthorized")
            assert text in json.loads(body)["error"]["message"]
            assert next(iter(stage.stats.listeners.values())).denied[reason] == 1
        assert server.calls == 0


async def test_new_keys_are_known_at_once_and_old_ones_are_not(tmp_path: Path) -> None:
    async with Fleet(Scripted("one"), listener=listener(tmp_path)) as stage:
        old, new = chat("m", line()), chat("m", line(NEXT))
        client = await stage.client()
        assert [(await stage.gets(each, client))[0] for each in (old, new)] == [200, 401]
        (tmp_path / "jwks.json").write_bytes(jwks(NEXT))
        await stage.apply()
        assert [(await stage.gets(each, client))[0] for each in (old, new)] == [401, 200]
