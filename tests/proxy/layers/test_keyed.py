"""What tells calls apart, besides their bodies."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sidecar.config.model import Trust
from sidecar.http.fields import Fields
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.llm.cache_key import KeySettings
from sidecar.llm.dialects import APIS
from sidecar.proxy.layers.keyed import CallKey
from sidecar.proxy.request import Request

BODY = json.dumps({"model": "m", "temperature": 0}).encode()
PLAIN = KeySettings()
SHARED = KeySettings(shared=True)


def key(
    lines: bytes = b"",
    settings: KeySettings = PLAIN,
    scope: str = "r",
    peer: str = "127.0.0.1",
    body: bytes = BODY,
    **changes: Any,
) -> bytes | None:
    fields = Fields(lines, REQUEST_FIELDS)
    kept = SimpleNamespace(
        complete=True, streamed=False, size=len(body), trailers=(), unpacked=None,
        plain=lambda: body,
    )  # fmt: skip
    call = SimpleNamespace(
        body=kept,
        caller="",
        head=SimpleNamespace(fields=fields, upgrade=False),
        downstream=SimpleNamespace(trust=Trust(), peer=peer),
    )
    request = Request(b"POST", b"/v1/chat/completions", cast("Any", kept)).replace(**changes)
    return CallKey(scope, "openai", APIS["openai"], settings)(cast("Any", call), request)


SAME = key()


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": "s"},
        {"peer": "10.0.0.1"},
        {"lines": b"\r\nAuthorization: Bearer a"},
        {"lines": b"\r\nOpenAI-Organization: o"},
        {"lines": b"\r\nOpenAI-Beta: x"},
        {"target": b"/v1/chat/completions?a=b"},
        {"target": b"/v2/chat/completions"},
        {"captured": {"r": "x"}},
        {"labels": {"version": "v2"}},
        {"content": b'{"model": "other", "temperature": 0}'},
    ],
)
def test_what_makes_another_call(changed: dict[str, Any]) -> None:
    assert key(**changed) not in (None, SAME)


@pytest.mark.parametrize(
    "changed",
    [
        {"lines": b"\r\nUser-Agent: x\r\nX-Request-Id: y\r\nAccept-Encoding: gzip"},
        {"lines": b"\r\nX-Stainless-Retry-Count: 1\r\ntraceparent: 00-a-b-01"},
        {"content": b'{"temperature":0,\n"model":"m"}'},
        {"priority": 0},
        {"since": 3},
    ],
)
def test_what_makes_no_difference(changed: dict[str, Any]) -> None:
    assert key(**changed) == SAME


def test_shared_calls_have_no_caller() -> None:
    same = key(settings=SHARED)
    assert key(b"\r\nAuthorization: Bearer a", SHARED, peer="10.0.0.1") == same
    assert key(settings=SHARED, target=b"/v1/chat/completions?key=a") == same
    assert key(target=b"/v1/chat/completions?key=a") != key(target=b"/v1/chat/completions?key=b")
    tenant = SHARED._replace(headers=(b"x-tenant",))
    assert key(b"\r\nX-Tenant: a", tenant) != key(b"\r\nX-Tenant: b", tenant)


@pytest.mark.parametrize(
    "changed",
    [
        {"lines": b"\r\nRange: bytes=0-1"},
        {"lines": b"\r\nContent-Encoding: zstd"},
        {"target": b"/v1/files"},
        {"method": b"GET"},
        {"body": b""},
        {"body": b"model=m"},
    ],
)
def test_what_is_like_no_other(changed: dict[str, Any]) -> None:
    assert key(**changed) is None
