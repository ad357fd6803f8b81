"""What a body says of its call, whatever it is, and another model in its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.request import NOTHING, asked, with_model


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model":"m"}', "m", False),
        (b'{"stream":true,"messages":[{"model":"other"}],"model":"m"}', "m", True),
        (b'{"model":"m","stream":null}', "m", False),
        (b'{"model":null,"stream":true}', None, True),
        (b' {"model" : "\\u006d" }\n', "m", False),
        (b'{"model":"first","model":"last"}', "last", False),
        (b"{}", None, False),
    ],
)
def test_what_is_asked(body: bytes, model: str | None, stream: bool) -> None:
    assert asked(body) == (model, stream)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"model":5}',
        b'{"stream":"yes"}',
        b'{"model":"m"} trailing',
        b'{"model":"\xff"}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_says_nothing(body: bytes) -> None:
    assert asked(body) == NOTHING


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    assert isinstance(asked(body).stream, bool)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"m"}', b'{"model":"new"}'),
        (b' {\t"model" :\r\n "m" } \n', b' {\t"model" :\r\n "new" } \n'),
        (b'{"a":{"model":"x"},"model":"m"}', b'{"a":{"model":"x"},"model":"new"}'),
        (b'{"model":"m","a":[{"model":"m"}]}', b'{"model":"new","a":[{"model":"m"}]}'),
        (b'{"a":{"model":"new"},"model":"m"}', b'{"a":{"model":"new"},"model":"new"}'),
        (b'{"model":"new","a":{"model":"x"}}', b'{"model":"new","a":{"model":"x"}}'),
        (b'{"model":"a\\"b\\\\"}', b'{"model":"new"}'),
        (b'{"model":"model"}', b'{"model":"new"}'),
        (b'{"x":"model","model":"m"}', b'{"x":"model","model":"new"}'),
        (b'{"x":"\\"model\\":\\"y\\"","model":"m"}', b'{"x":"\\"model\\":\\"y\\"","model":"new"}'),
        (b'{"x\\"model":"y","model":"m"}', b'{"x\\"model":"y","model":"new"}'),
        (b'{"model":"m","x":"\xc3\xa9\\u00e9"}', b'{"model":"new","x":"\xc3\xa9\\u00e9"}'),
        (b'{"\\u006dodel":"m"}', b'{"\\u006dodel":"new"}'),
        (b'{"a":{"model":"x"},"mod\\u0065l":"m"}', b'{"a":{"model":"x"},"mod\\u0065l":"new"}'),
        (b'{"\\\\u006dodel":"x","model":"m"}', b'{"\\\\u006dodel":"x","model":"new"}'),
        (b'{"model":"m","model":"m"}', b'{"model":"new"}'),
        (b'{"a":1, "a":22, "model":"m"}', b'{"a":22,"model":"new"}'),
        (b'{"model":"m","mode\\u006C":"last","a": 1e1}', b'{"model":"new","a":1e1}'),
        (
            b'{"a":{"b":"x","model":"m"},"a":12345678,"model":"m"}',
            b'{"a":12345678,"model":"new"}',
        ),
        (
            b'{"model":"m","temperature":1.0e0,"n":1E400}',
            b'{"model":"new","temperature":1.0e0,"n":1E400}',
        ),
    ],
)
def test_only_the_name_is_replaced(body: bytes, changed: bytes) -> None:
    assert with_model(body, "new") == changed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'"model"',
        b'[{"model":"m"}]',
        b'{"a":{"model":"m"}}',
        b'{"model":{"model":"m"}}',
        b'{"model":null}',
        b'{"model":0}',
        b'{"model":"m","model":0}',
        b'{"a":{"model":"m"},"b":{"model":"m"},"model":0}',
        b'{"a":{"model":"m"},"b":{"model":"m"},"model":2}',
        b'{"a":{"model":"m"},"b":{"model":"m"},"model":-1}',
        b'{"a":{"model":"new"},"b":{"model":"new"}}',
        b'{"model":"m"',
        b'{"model":"m"} trailing',
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        b'{"model":"\\x"}',
        b'{"model":"m\n"}',
        b'{"x":"model":"m"}',
        b'{"model":"m","a":' + b"[" * 100_000,
    ],
)
def test_where_there_is_no_name_to_replace(body: bytes) -> None:
    assert with_model(body, "new") is None


KEYS = st.sampled_from(["model", "messages", 'a"model', "model\\", "\N{BOMB}", ""])
TEXTS = st.one_of(st.sampled_from(["model", '"model": "x"', "\\", "0", "1"]), st.text(max_size=5))
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(0, 3), st.none(), st.booleans()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
)


@given(
    st.dictionaries(KEYS, VALUES, max_size=5),
    TEXTS,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.booleans(),
)
def test_as_if_it_were_decoded_and_encoded(
    old: dict[str, Any], model: str, indent: int | None, ascii_only: bool, spelled: bool
) -> None:
    body = json.dumps(old, indent=indent, ensure_ascii=ascii_only).encode()
    if spelled:
        body = body.replace(b'"model"', b'"\\u006dodel"', 1)
    new = with_model(body, model)
    if isinstance(old.get("model"), str):
        assert new is not None
        assert json.loads(new) == old | {"model": model}
        assert asked(new).model == model
        assert len(new) - len(body) == len(json.dumps(model, ensure_ascii=False).encode()) - len(
            json.dumps(old["model"], ensure_ascii=ascii_only).encode()
        )
    else:
        assert new is None


WRITTEN = st.sampled_from(
    ['"model"', '"\\u006dodel"', ' "mode\\u006C" ', '"a"', '"\\"model"', '"model\\\\"', '""']
)
ANY = st.one_of(
    st.sampled_from(['"m"', '"model"', " 0 ", "12", "1e1", '{"model":"m"}', '["m","model",0]']),
    VALUES.map(json.dumps),
)


@given(st.lists(st.tuples(WRITTEN, ANY), max_size=6), TEXTS)
def test_names_that_are_there_twice(pairs: list[tuple[str, str]], model: str) -> None:
    body = "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
    old = json.loads(body)
    new = with_model(body.encode(), model)
    if isinstance(old.get("model"), str):
        assert new is not None
        assert json.loads(new) == old | {"model": model}
    else:
        assert new is None


PIECES = st.sampled_from(
    [
        b'"model"',
        b'"',
        b"\\",
        b":",
        b",",
        b"{",
        b"}",
        b"[",
        b"]",
        b" ",
        b'"m"',
        b"0",
        b"\xff",
        b"\\u006d",
    ]
)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_pieces(body: bytes) -> None:
    assert (with_model(body, "new") is None) == (asked(body).model is None)
