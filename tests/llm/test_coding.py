"""Bodies in a content coding: what comes out, how much of it, and what is refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelUnknown
from sidecar.llm.coding import is_identity, plain

STEP = 64 * 1024


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = [
    (b"gzip", gzip.compress),
    (b"GZip ", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", raw),
]


def unpacked(body: bytes, coding: bytes, most: int = 2**24) -> bytes:
    pieces = list(plain(body, coding, most))
    assert max(map(len, pieces), default=0) <= STEP
    return b"".join(pieces)


@pytest.mark.parametrize(("coding", "pack"), PACKED)
@pytest.mark.parametrize("size", [0, 1, 100, STEP - 1, STEP, STEP + 1, 3 * STEP, 10**6])
def test_what_comes_out(coding: bytes, pack: object, size: int) -> None:
    data = (b'{"model":"m"}' * (size // 13 + 1))[:size]
    assert callable(pack)
    assert unpacked(pack(data), coding) == data


@given(st.binary(max_size=1000), st.integers(0, 300), st.sampled_from(PACKED))
def test_any_data(data: bytes, times: int, packed: tuple[bytes, object]) -> None:
    coding, pack = packed
    assert callable(pack)
    assert unpacked(pack(data * times), coding) == data * times


@pytest.mark.parametrize(("coding", "pack"), PACKED)
def test_a_bomb_is_left_where_it_passes_the_bound(coding: bytes, pack: object) -> None:
    assert callable(pack)
    sizes: list[int] = []
    pieces = map(len, plain(pack(bytes(2**26)), coding, 1_000_000))
    with pytest.raises(ModelUnknown, match="longer than 1000000 bytes") as raised:
        sizes.extend(pieces)
    assert raised.value.status == 413
    assert sum(sizes) <= 1_000_000
    assert unpacked(pack(bytes(1000)), coding, 1000) == bytes(1000)


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        (b"gzip", gzip.compress(b"x" * 100)[:-1], "is incomplete"),
        (b"gzip", b"", "is incomplete"),
        (b"gzip", b"no gzip", "can't be decompressed"),
        (b"gzip", zlib.compress(b"x"), "can't be decompressed"),
        (b"gzip", gzip.compress(b"x")[:-8] + bytes(8), "can't be decompressed"),
        (b"gzip", gzip.compress(b"x") + b"y", "bytes after"),
        (b"gzip", gzip.compress(b"x") + gzip.compress(b"y"), "bytes after"),
        (b"gzip", gzip.compress(b"x") + bytes(2 * STEP), "bytes after"),
        (b"deflate", zlib.compress(b"x") + b"y", "bytes after"),
        (b"deflate", b"\xff\xff\xff", "can't be decompressed"),
    ],
)
def test_what_is_broken(coding: bytes, body: bytes, why: str) -> None:
    with pytest.raises(ModelUnknown, match=why) as raised:
        unpacked(body, coding)
    assert raised.value.status == 400


@pytest.mark.parametrize("coding", [b"zstd", b"br", b"gzip, gzip", b"identity, gzip", b"x" * 9999])
def test_other_codings(coding: bytes) -> None:
    with pytest.raises(ModelUnknown, match="content coding") as raised:
        unpacked(b"", coding)
    assert raised.value.status == 415
    assert len(raised.value.message) < 200


def test_no_coding() -> None:
    assert all(map(is_identity, (b"", b" ", b"identity", b" Identity ")))
    assert not is_identity(b"gzip")


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate"]))
def test_any_bytes(body: bytes, coding: bytes) -> None:
    try:
        out = unpacked(body, coding)
    except ModelUnknown:
        return
    assert isinstance(out, bytes)
