"""Elements out of an array that comes in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.json_stream import JsonSplitter


def elements(*pieces: bytes, most: int = 2**20) -> tuple[list[bytes], bool]:
    splitter = JsonSplitter(most)
    return [found for piece in pieces for found in splitter.feed(piece)], splitter.closed


@pytest.mark.parametrize(
    ("stream", "expected", "closed"),
    [
        (b'[{"a": 1}\n,\r\n{"b": [2, {"c": "}]"}]}\n]\n', [b'{"a": 1}', b'{"b": [2, {"c": "}]"}]}'],
         True),
        (b'[{"a": "\\"]}"}, {"b": "\\\\"}]', [b'{"a": "\\"]}"}', b'{"b": "\\\\"}'], True),
        (b'[{"a": 1}', [b'{"a": 1}'], False),
        (b'[{"a": 1', [], False),
        (b"[]", [], True),
        (b"[", [], False),
        (b'{"error": {"code": 1}}', [b'{"error": {"code": 1}}'], True),
        (b'{"error": {"code": 1}', [], False),
        (b'[1, "a]", null, {"b": 1}, [2]]', [b'{"b": 1}', b"[2]"], True),
        (b'[{"a": 1}] {"b": 2}', [b'{"a": 1}'], True),
        (b"]", [], True),
        (b"}{", [], True),
        (b"", [], False),
    ],
)  # fmt: skip
def test_elements(stream: bytes, expected: list[bytes], closed: bool) -> None:
    assert elements(stream) == (expected, closed)
    assert elements(*(stream[at : at + 1] for at in range(len(stream)))) == (expected, closed)
    for at in range(len(stream)):
        assert elements(stream[:at], stream[at:]) == (expected, closed)


def test_what_is_larger_than_is_kept() -> None:
    stream = b'[{"a": "' + b"x" * 60 + b'"}, {"b": 1}]'
    for size in (1, 9, 100):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert elements(*pieces, most=64) == ([b'{"b": 1}'], True)


JSON = st.recursive(
    st.none() | st.booleans() | st.text('ab"\\[]{},é') | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"{'), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text("a]"), JSON, max_size=3), max_size=4),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_whatever_an_encoder_writes_is_read(
    values: list[dict[str, Any]], indented: bool, cuts: list[int]
) -> None:
    stream = json.dumps(values, ensure_ascii=False, indent=1 if indented else None).encode()
    cuts = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found, closed = elements(*pieces)
    assert ([json.loads(element) for element in found], closed) == (values, True)
