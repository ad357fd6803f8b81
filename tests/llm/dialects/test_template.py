"""Events that look like two plain ones, and those that do not."""

from __future__ import annotations

import pytest

from sidecar.llm.dialects.template import Template


def learnt(*events: bytes) -> list[bytes]:
    template = Template()
    for event in events:
        template.learn(event)
    return [template.head, *template.rest] if template.rest else []


@pytest.mark.parametrize(
    ("one", "other", "pieces"),
    [
        (b'{"a":"x"}', b'{"a":"yz"}', [b'data: {"a":"', b'"}\n\n']),
        (b'{"a": "x"}', b'{"a": ""}', [b'data: {"a": "', b'"}\n\n']),
        (
            b'{"a":"x","n":1,"b":"y"}',
            b'{"a":"z","n":1,"b":"w"}',
            [b'data: {"a":"', b'","n":1,"b":"', b'"}\n\n'],
        ),
        (b'{"a":"\\"x"}', b'{"a":"y\\n"}', [b'data: {"a":"', b'"}\n\n']),
    ],
)
def test_what_two_have_in_common(one: bytes, other: bytes, pieces: list[bytes]) -> None:
    assert learnt(one, other) == pieces


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":"x"}', b'{"a":"x"}'),  # nothing differs: it is no answer's next piece
        (b'{"a":"x"}', b'{"b":"x"}'),  # a name
        (b'{"a":["x"]}', b'{"a":["y"]}'),  # it may be one of several
        (b'{"a":"x","n":1}', b'{"a":"y","n":2}'),  # a number
        (b'{"a":"x","b":null}', b'{"a":"x","b":"y"}'),
        (b'{"a":"x"}', b'{"a":"y","b":"z"}'),
        (b'{"a":"1","b":"1","c":"1","d":"1"}', b'{"a":"2","b":"2","c":"2","d":"2"}'),
        (b'{"a":"x\\\\"}', b'{"a":"y"}'),  # a backslash, not an escaped quote
        (b'{"a":"x"}', b'{"a":"y\\\\"}'),
        (b'{"a":\n"x"}', b'{"a":\n"y"}'),  # of two lines of data
        (b'{"a":"x"}', b'{"a":"' + b"y" * 5000 + b'"}'),
    ],
)
def test_what_is_not_alike(one: bytes, other: bytes) -> None:
    assert learnt(one, other) == []


def test_it_learns_anew_and_gives_up_some_time() -> None:
    a, b, c, d = b'{"a":"1"}', b'{"a":"2"}', b'{"b":"1"}', b'{"b":"2"}'
    assert learnt(a, b, c) == learnt(a, b)
    assert learnt(a, b, c, d) == learnt(c, d)
    assert learnt(*[a, c] * 40, c, d) == []
