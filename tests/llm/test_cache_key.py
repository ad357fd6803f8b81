"""Which bodies are the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.cache_key import KeySettings, comparable, digest

PLAIN = KeySettings()
ALWAYS = KeySettings(always=True)


def of(text: str, operation: str = "chat", settings: KeySettings = ALWAYS) -> bytes | None:
    return comparable(text.encode(), operation, settings)


SAME = [
    ('{"a": 1, "b": [2, {"c": 3, "d": 4}]}', '{"b":[2,{"d":4,"c":3}],"a":1}'),
    ('{"a": 1, "user": "x"}', '{"metadata": {"b": "c"}, "a": 1}'),
    ('{"a": 1, "stream": false}', '{"a": 1}'),
    ('{"a": "é"}', '{"a":"é"}'),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_value_is_the_same(one: str, other: str) -> None:
    assert of(one) == of(other) is not None


DIFFERENT = [
    ('{"a": 1}', '{"a": 2}'),
    ('{"a": [1, 2]}', '{"a": [2, 1]}'),
    ('{"a": 1, "stream": true}', '{"a": 1}'),
    ('{"a": 1, "stream_options": {"include_usage": true}}', '{"a": 1}'),
    ('{"a": {"user": "x"}}', '{"a": {"user": "y"}}'),  # only at the top is it known
    ('{"a": 1, "a": 2}', '{"a": 2}'),  # servers may take the first
    ('{"a": 1, "a": 2}', '{"a": 1}'),
    ('{"a": 1e2}', '{"a": 1e3}'),
    ('{"a": 12345678901234567890123}', '{"a": 12345678901234567890124}'),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_another_value_is_another(one: str, other: str) -> None:
    assert None not in (of(one), of(other))
    assert of(one) != of(other)


def test_where_a_reply_repeats_who_asks_that_counts() -> None:
    assert of('{"a": 1, "user": "x"}', "responses") != of('{"a": 1}', "responses")


def test_more_members_may_be_ignored() -> None:
    ignoring = ALWAYS._replace(ignore=frozenset({"trace"}))
    assert of('{"a": 1, "trace": 1}', settings=ignoring) == of('{"a": 1}')


@pytest.mark.parametrize(
    ("text", "operation", "qualifies"),
    [
        ('{"temperature": 0}', "chat", True),
        ('{"temperature": 0.0}', "messages", True),
        ('{"temperature": 0.1}', "chat", False),
        ('{"temperature": false}', "chat", False),
        ('{"seed": 0}', "chat", True),
        ('{"seed": null}', "chat", False),
        ('{"random_seed": 7}', "chat", True),
        ('{"generationConfig": {"temperature": 0}}', "generateContent", True),
        ('{"generationConfig": {"seed": 5}}', "generateContent", True),
        ('{"inferenceConfig": {"temperature": 0}}', "converse", True),
        ("{}", "chat", False),
        ("{}", "embeddings", True),
    ],
)
def test_answers_that_repeat(text: str, operation: str, qualifies: bool) -> None:
    assert (of(text, operation, PLAIN) is not None) is qualifies
    assert of(text, operation) is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"background": true}',
        '{"conversation": "c"}',
        '{"store": true}',
        "[]",
        '"a"',
        "",
        "{",
        "[" * 100_000,
        '{"a": NaN}',
    ],
)
def test_what_changes_something_or_is_no_object_never_qualifies(text: str) -> None:
    assert of(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4).map(
    lambda value: {**value, "background": None, "conversation": None, "store": None}
)


def without(value: dict[str, object]) -> dict[str, object]:
    ignored = {"user", "metadata", "safety_identifier", "prompt_cache_key"}
    ignored |= {"prompt_cache_retention"} | ({"stream"} if value.get("stream") is False else set())
    return {key: each for key, each in value.items() if key not in ignored}


def written(value: object, **how: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, **how)  # type: ignore[arg-type]
    return text.encode(errors="surrogatepass")


@given(OBJECTS, OBJECTS)
def test_bodies_are_the_same_when_their_values_are(
    one: dict[str, object], other: dict[str, object]
) -> None:
    first = comparable(written(one), "chat", ALWAYS)
    second = comparable(written(other, indent=2), "chat", ALWAYS)
    if first is not None and first[:1] == b"~" and second is not None:
        assert (first == second) is (
            written(without(one), sort_keys=True) == written(without(other), sort_keys=True)
        )
    again = comparable(written(dict(reversed(one.items()))), "chat", ALWAYS)
    if first is not None and first[:1] == b"~":
        assert first == again


@given(st.lists(st.binary(max_size=4)), st.lists(st.binary(max_size=4)))
def test_a_digest_depends_on_where_parts_end(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(one) == digest(other)) is (one == other)
