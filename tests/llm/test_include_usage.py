"""The usage of a stream is asked for, and nothing else changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.include_usage import insert_include_usage, is_usage_only
from tests.llm.streams import DONE, OPENAI_USAGE, STREAMS, chunk

ASKED = b'"stream_options":{"include_usage":true}'


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"stream":true}', b'{"stream":true,' + ASKED + b"}"),
        (b'{"stream": true , "n" : 1}\n', b'{"stream": true,' + ASKED + b' , "n" : 1}\n'),
        (b'{"a":"stream","stream":true}', b'{"a":"stream","stream":true,' + ASKED + b"}"),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,' + ASKED + b"}"),
        (b'{"stream":true,"stream_options":{}}', b'{"stream":true,' + ASKED + b"}"),
        (
            b'{"stream":true,"stream_options":{ "include_obfuscation" : false }}',
            b'{"stream":true,"stream_options":'
            b'{"include_usage":true, "include_obfuscation" : false }}',
        ),
        (
            b'{"stream":true,"stream_options":{"x":1,"include_usage": false}}',
            b'{"stream":true,"stream_options":{"x":1,"include_usage": true}}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage":null}}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_it_is_asked_for(body: bytes, changed: bytes) -> None:
    assert insert_include_usage(body) == changed
    assert insert_include_usage(changed) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"stream":false}',
        b'{"stream":null}',
        b'{"stream":1}',
        b'{"stream":"true"}',
        b'{"stream":true,"stream":true}',
        b'{"stream":true,"stream_options":{},"stream_options":{}}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"stream":true,"stream_options":1}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true',
        b"[]",
        b"",
        b"\xff",
        '{"stream":true}'.encode("utf-16"),
        b'{"stream":true,' + b",".join(b'"%d":1' % n for n in range(2000)) + b"}",
        b'{"stream":true,"a":' + b"[" * 100_000 + b"}",
    ],
)
def test_it_is_left_alone(body: bytes) -> None:
    assert insert_include_usage(body) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(), VALUES, max_size=4),
    st.sampled_from([None, {}, {"x": 1}, {"include_usage": False}]),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_all_else_stays(
    others: dict[str, Any], options: Any, there: bool, indent: int | None
) -> None:
    asked = {"stream": True, **({"stream_options": options} if there else {})}
    body = {**others, **asked}
    changed = insert_include_usage(json.dumps(body, indent=indent).encode())
    assert changed is not None
    given_options = (options or {}) if there else {}
    expected = {**body, "stream_options": {**given_options, "include_usage": True}}
    assert json.loads(changed) == expected


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "only"),
    [
        (encoded({**chunk({}), "choices": [], "usage": OPENAI_USAGE}), True),
        (b'{"usage":{"prompt_tokens":1},"choices":[ ]}', True),
        (encoded({"choices": [], "usage": None}), False),
        (encoded({"choices": [], "usage": {}}), False),
        (encoded({"choices": []}), False),
        (encoded({"usage": OPENAI_USAGE}), False),
        (encoded(chunk({"content": "a"}, usage=OPENAI_USAGE)), False),
        (encoded(chunk({"content": '"choices":[],"usage":{"a":1}'})), False),
        (encoded({"choices": [], "usage": OPENAI_USAGE, "error": {"code": 1}}), False),
        (encoded({"choices": {}, "usage": OPENAI_USAGE}), False),
        (b'{"usage"', False),
        (b"[DONE]", False),
        (b"", False),
    ],
)
def test_the_chunk_that_is_there_for_the_usage_alone(data: bytes, only: bool) -> None:
    assert is_usage_only(data) == only


def test_one_chunk_of_a_stream_is() -> None:
    events = STREAMS["chat with usage"].events
    assert [is_usage_only(event[6:]) for event in events] == [*[False] * 7, True, False]
    assert events[-1] == DONE
