"""Members are changed, and every other byte stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.members import TooMany
from sidecar.llm.splice import UNREADABLE, Body, Place, items, replaced

PATHS = [(), ("a",), ("b",), ("a", "b"), ("a", "b", "c"), ("x y", "é")]


def put(body: bytes, path: str, new: bytes) -> bytes:
    found = Body(body)
    found.put(tuple(path.split(".")), new)
    return found.encoded()


def removed(body: bytes, *paths: str) -> bytes:
    found = Body(body)
    for path in paths:
        found.remove(tuple(path.split(".")))
    return found.encoded()


@pytest.mark.parametrize(
    ("body", "path", "changed"),
    [
        (b"{}", "a", b'{"a":1}'),
        (b" {\n} \n", "a", b' {"a":1\n} \n'),
        (b'{"b": 2 }', "a", b'{"b": 2,"a":1 }'),
        (b'{ "a" : 2 , "b":3}', "a", b'{ "a" : 1 , "b":3}'),
        (b'{"a":2,"a":3}', "a", b'{"a":1,"a":1}'),
        (b'{"\\u0061":2}', "a", b'{"\\u0061":1}'),
        (b"{}", "a.b", b'{"a":{"b":1}}'),
        (b'{"a": null}', "a.b", b'{"a": {"b":1}}'),
        (b'{"a":{ "c": 1.0 }}', "a.b", b'{"a":{ "c": 1.0,"b":1 }}'),
        (b'{"a":7}', "a.b", b'{"a":7}'),
        (b'\xef\xbb\xbf{"a":NaN}', "b", b'\xef\xbb\xbf{"a":NaN,"b":1}'),
        (b'{"a":"\\ud83d"}', "b", b'{"a":"\\ud83d","b":1}'),
    ],
)
def test_a_member_is_put(body: bytes, path: str, changed: bytes) -> None:
    assert put(body, path, b"1") == changed


def test_several_members_are_put_into_one_new_object() -> None:
    found = Body(b'{"m":0}')
    for name in (b"b", b"c"):
        found.put(("a", name.decode()), b'"%b"' % name)
    assert found.encoded() == b'{"m":0,"a":{"b":"b","c":"c"}}'


@pytest.mark.parametrize(
    ("body", "paths", "changed"),
    [
        (b'{"a":1}', ["a"], b"{}"),
        (b'{ "a":1 }', ["a"], b"{ }"),
        (b'{ "a":1, "b":2 }', ["a"], b'{ "b":2 }'),
        (b'{ "a":1, "b":2 }', ["b"], b'{ "a":1 }'),
        (b'{"a":1 , "b":2, "c":3}', ["b"], b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"a":3}', ["a"], b'{"b":2}'),
        (b'{"a":1,"b":2,"c":3}', ["a", "c"], b'{"b":2}'),
        (b'{"a":{"b":1,"c":2}, "d":[ 1]}', ["a.b"], b'{"a":{"c":2}, "d":[ 1]}'),
        (b'{"a":1}', ["b", "a.b"], b'{"a":1}'),
    ],
)
def test_members_are_removed(body: bytes, paths: list[str], changed: bytes) -> None:
    assert removed(body, *paths) == changed


def test_a_body_in_another_encoding_keeps_it() -> None:
    body = '{"a":"ü"}'.encode("utf-16")
    assert put(body, "b", b"1").decode("utf-16") == '{"a":"ü","b":1}'


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'{"a"', b"{} x", b"{" + b'"a":1,' * 1001])
def test_what_is_no_object_can_not_be_read(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        Body(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "x y", "é", "d", "e"]), JSON)
SPACED = {"separators": (" ,\t", " : "), "indent": None}


def expected(value: dict[str, Any], path: tuple[str, ...], new: object) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return {**value, name: new}
    inner = value.get(name)
    if inner is None or isinstance(inner, dict):
        return {**value, name: expected(inner or {}, tuple(rest), new)}
    return value


@given(OBJECTS, st.sampled_from(PATHS[1:]), JSON, st.booleans())
def test_what_is_put_is_what_is_read(
    value: dict[str, Any], path: tuple[str, ...], new: object, spaced: bool
) -> None:
    text = json.dumps(value, **SPACED) if spaced else json.dumps(value, indent=1)  # type: ignore[arg-type]
    found = Body(text.encode())
    found.put(path, json.dumps(new).encode())
    assert json.loads(found.encoded()) == expected(value, path, new)


@given(OBJECTS, st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=4))
def test_what_is_removed_is_gone_and_the_rest_is_there(
    value: dict[str, Any], names: list[str]
) -> None:
    left = json.loads(removed(json.dumps(value).encode(), *names))
    assert left == {name: each for name, each in value.items() if name not in names}


@given(st.lists(OBJECTS, max_size=5))
def test_items_of_a_list_are_found_where_they_stand(values: list[dict[str, Any]]) -> None:
    text = b"xx" + json.dumps(values, indent=1).encode()
    found = items(text, Place(2, len(text)))
    assert [json.loads(text[place.start : place.end]) for place in found] == values
    new = replaced(text, Place(2, len(text)), [(place, b"{}") for place in found])
    assert json.loads(new) == [{} for _ in values]


@pytest.mark.parametrize("text", [b"[1]", b'["a"]', b"{}", b"[{}, 1]"])
def test_other_lists_have_no_items(text: bytes) -> None:
    with pytest.raises(UNREADABLE):
        items(text, Place(0, len(text)))


def test_a_list_of_very_many_is_not_read() -> None:
    with pytest.raises(TooMany):
        items(b"[" + b"{}," * 20_001 + b"{}]", Place(0, 60_007))
