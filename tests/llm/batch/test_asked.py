"""What a request for embeddings asks for, and which requests travel alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.batch import Asked, Empty, merge, read

TOKENS = st.lists(st.integers(0, 100_000), min_size=1, max_size=5)
INPUTS = st.one_of(
    st.text(min_size=1),
    st.lists(st.text(min_size=1), min_size=1, max_size=5),
    TOKENS,
    st.lists(TOKENS, min_size=1, max_size=5),
)


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}).encode()


def asked(**members: Any) -> Asked:
    found = read(body(**members))
    assert isinstance(found, Asked)
    return found


@pytest.mark.parametrize(
    ("given_", "items", "kind"),
    [
        ("a", (b'"a"',), b"text"),
        (["a", "b"], (b'"a"', b'"b"'), b"text"),
        ([1, 2], (b"[1,2]",), b"tokens"),
        ([[1, 2], [3]], (b"[1,2]", b"[3]"), b"tokens"),
        (["[1]", '"'], (b'"[1]"', rb'"\""'), b"text"),
        ("\N{GRINNING FACE}", (rb'"\ud83d\ude00"',), b"text"),
    ],
)
def test_inputs(given_: object, items: tuple[bytes, ...], kind: bytes) -> None:
    found = asked(input=given_)
    assert (found.items, found.kind) == (items, kind)
    assert found.rest == b'{"model":"m"}'
    assert found.empty == ()
    assert found.places == tuple(range(len(items)))


@pytest.mark.parametrize(
    "alone",
    [
        b"",
        b"[]",
        b"{",
        b'{"input":"a"}',  # the server says what is wrong
        b'{"model":"m"}',
        b'{"model":"m","input":[]}',
        b'{"model":"m","input":null}',
        b'{"model":"m","input":{"text":"a"}}',
        b'{"model":"m","input":[{"type":"text"}]}',
        b'{"model":"m","input":["a",1]}',
        b'{"model":"m","input":[1,"a"]}',
        b'{"model":"m","input":[1.5]}',
        b'{"model":"m","input":[[1],"a"]}',
        b'{"model":"m","input":[[1],2]}',
        b'{"model":"m","input":"\\ud83d"}',  # half of a pair
        b'{"model":"m","input":"\xff"}',
        b'{"model":"m","input":"a","input":"b"}',  # which one depends on the reader
        b'{"model":"m","model":"n","input":"a"}',
        b'{"mod\\u0065l":"m","model":"n","input":"a"}',
        b'{"model":"m","input":"a","stream":true}',
        b'{"model":"m","input":"a"} {}',
    ],
)
def test_what_is_not_understood_goes_alone(alone: bytes) -> None:
    assert read(alone) is None


def test_everything_else_must_be_equal_but_for_its_order() -> None:
    one = read(b'{"model": "m", "input": "a", "dimensions": 64, "user": "u"}')
    other = read(b'{"user":"u","input":["b"],"dimensions":64,"model":"m"}')
    assert isinstance(one, Asked)
    assert isinstance(other, Asked)
    assert one.rest == other.rest == b'{"dimensions":64,"model":"m","user":"u"}'
    rests = {asked(input="a", **more).rest for more in DIFFERENT}
    assert len(rests) == len(DIFFERENT)


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"model": "n"},
    {"dimensions": 64},
    {"dimensions": 65},
    {"encoding_format": "base64"},
    {"encoding_format": "float"},
    {"user": "u"},
    {"input_type": "query"},
]


def test_empty_items_are_set_apart() -> None:
    found = asked(input=["", "a", "", "b"])
    assert found.items == (b'"a"', b'"b"')
    assert (found.places, found.empty) == ((1, 3), (0, 2))
    assert asked(input=[[1], []]).empty == (1,)
    assert read(body(input="")) == Empty(1)
    assert read(body(input=["", ""])) == Empty(2)


def test_tokens_are_counted_or_estimated() -> None:
    assert asked(input=[[1, 2, 3], [4]]).tokens == (3, 1)
    assert asked(input=["a" * 400, "b"]).tokens == (100, 1)


@given(st.lists(INPUTS, min_size=1, max_size=6))
def test_what_is_merged_has_every_item_once_and_in_order(inputs: list[Any]) -> None:
    for kind in (b"text", b"tokens"):
        mine = [found for each in inputs if (found := asked(input=each)).kind == kind]
        if mine:
            joint = json.loads(merge(mine))
            assert joint.pop("input") == [json.loads(i) for found in mine for i in found.items]
            assert joint == {"model": "m"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
BODIES = st.builds(
    lambda given_, more, cut: json.dumps({"model": "m", "input": given_, **more}).encode()[:cut],
    INPUTS | JSON,
    st.dictionaries(st.sampled_from(["dimensions", "user", "stream", "input", "x"]), JSON),
    st.none() | st.integers(0, 60),
)


@given(BODIES | st.binary())
def test_whatever_comes_is_asked_for_as_it_is_or_goes_alone(body_: bytes) -> None:
    found = read(body_)
    if not isinstance(found, Asked):
        return
    before, after = json.loads(body_), json.loads(merge([found]))
    given_, items = before.pop("input"), after.pop("input")
    if not isinstance(given_, list) or isinstance(given_[0], int):
        given_ = [given_]
    assert items == [item for item in given_ if item]
    assert before == after
