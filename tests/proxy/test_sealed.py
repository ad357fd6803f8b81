"""What was kept is read again, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.usage import Usage
from sidecar.proxy.sealed import seal, unseal
from sidecar.proxy.stored import StoredReply

KEY = b"k" * 20
MOST = 2**20


def a_reply(**changes: object) -> StoredReply:
    said: dict[str, object] = {
        "status": 200,
        "reason": b"OK",
        "lines": b"\r\nContent-Type: text/event-stream",
        "stream": True,
        "pieces": [b"data: a\n\n", b"data: b\n\n"],
        "times": [0, 5],
        "stored": 1.0,
        "life": 60.0,
        "route": "r",
        "model": "m",
        "usage": Usage(input=3, output=5),
    }
    return StoredReply(**{**said, **changes})  # type: ignore[arg-type]


def test_it_comes_back_as_it_was() -> None:
    assert unseal(KEY, seal(KEY, a_reply(), b"s"), b"s", MOST) == a_reply()


@pytest.mark.parametrize(("key", "secret"), [(b"x" * 20, b"s"), (KEY, b"t"), (KEY, b"")])
def test_for_another_call_or_by_another_it_is_a_miss(key: bytes, secret: bytes) -> None:
    assert unseal(key, seal(KEY, a_reply(), b"s"), secret, MOST) is None


@given(st.binary(max_size=200))
def test_anything_else_is_a_miss(value: bytes) -> None:
    assert unseal(KEY, value, b"", MOST) is None
    assert unseal(KEY, b"LSR1" + value, b"", MOST) is None


@given(st.data())
def test_a_changed_byte_is_a_miss(data: st.DataObject) -> None:
    value = bytearray(seal(KEY, a_reply(), b""))
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    assert unseal(KEY, bytes(value), b"", MOST) is None
    assert unseal(KEY, bytes(value[:at]), b"", MOST) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": b"\r\nA: b\r\n\r\nHTTP/1.1 200 OK"},
        {"lines": b"\r\nA b"},
        {"reason": b"OK\r\nA: b"},
        {"lines": b"\r\nContent-Length: 5"},
        {"lines": b"\r\nTransfer-Encoding: chunked"},
        {"status": 101},
        {"times": [1]},
        {"stream": False},
    ],
)
def test_what_would_break_a_connection_is_a_miss(changes: dict[str, object]) -> None:
    assert unseal(KEY, seal(KEY, a_reply(**changes), b""), b"", MOST) is None


def test_what_would_take_all_memory_is_a_miss() -> None:
    bomb = a_reply(pieces=[bytes(2**24)], times=[0])
    sealed = seal(KEY, bomb, b"")
    assert len(sealed) < 2**17
    assert unseal(KEY, sealed, b"", MOST) is None
    assert unseal(KEY, seal(KEY, a_reply(pieces=[bytes(MOST)], times=[0]), b""), b"", MOST)


def test_texts_shrink() -> None:
    text = b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n' * 100
    assert len(seal(KEY, a_reply(pieces=[text], times=[0]), b"")) < len(text) / 3
