"""What a body says of its call, whatever it is, and another model in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelUnknown
from sidecar.llm.request import glance, read, worth_a_glance

JSON = b"application/json"
BOUND = b"multipart/form-data; boundary=xyz"
PADDED = b'"pad":"' + b"x" * 5000 + b'"'
"""Makes a body long enough that all its members are looked at."""


def asks(body: bytes, content_type: bytes = JSON) -> tuple[str | None, bool]:
    asked = read(body, content_type)
    assert asked.doubt is None
    assert asked.named == (asked.model is not None)
    return asked.model, asked.stream


def renamed(body: bytes, model: str = "new", content_type: bytes = JSON) -> bytes | None:
    """The body with another model; None where it names none."""
    asked = read(body, content_type)
    return asked.with_model(model) if asked.named else None


def small_and_large(body: bytes) -> list[bytes]:
    """The same members in a body that is looked at in one way, and in the other."""
    assert body[:1] == b"{"
    comma = b"" if body.strip(b"{} \n") == b"" else b","
    return [body, b"{" + PADDED + comma + body[1:]]


def spelled(text: str) -> list[bytes]:
    """A JSON text in every encoding that Python's reader takes."""
    codecs = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
    marked = [b"\xfe\xff" + text.encode("utf-16-be"), b"\0\0\xfe\xff" + text.encode("utf-32-be")]
    return [text.encode(codec) for codec in [*codecs, "utf-32-be"]] + marked


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b'{"model":"m"}', "m", False),
        (b'{"stream":true,"messages":[{"model":"other"}],"model":"m"}', "m", True),
        (b'{"model":"m","stream":null}', "m", False),
        (b'{"model":null,"stream":true}', None, True),
        (b'{"model" : "\\u006d" }\n', "m", False),
        (b'{"mod\\u0065l":"m"}', "m", False),
        (b'{"model":"m","model":"m"}', "m", False),
        (b'{"contents":[{"role":"model"}],"model":"m"}', "m", False),
        (b'{"role":"model"}', None, False),
        (b"{}", None, False),
        # Of other types: one must not hide the other.
        (b'{"model":"m","stream":1}', "m", True),
        (b'{"model":"m","stream":0}', "m", False),
        (b'{"model":"m","stream":-1.5}', "m", True),
        (b'{"model":"m","stream":"TRUE"}', "m", True),
        (b'{"model":"m","stream":"yes"}', "m", True),
        (b'{"model":"m","stream":"no"}', "m", False),
        (b'{"model":"m","stream":[true]}', "m", False),
        (b'{"model":"m","stream":{}}', "m", False),
        # What strict readers refuse.
        (b'{"model":"m","messages":["party \\ud83c"]}', "m", False),
        (b'{"a":"\\uD800\\\\ud83d","model":"m","b":"\\\\\\ud83d"}', "m", False),
        (b'{"model":"m","a":[NaN,Infinity,-Infinity],"stream":true}', "m", True),
    ],
)
def test_what_is_asked(body: bytes, model: str | None, stream: bool) -> None:
    for each in small_and_large(body):
        assert asks(each) == (model, stream)
        assert glance(each) == (model, stream)


@pytest.mark.parametrize("body", spelled('{"model": "m\u00e9", "stream": true, "x": "\U0001f389"}'))
def test_whatever_its_encoding(body: bytes) -> None:
    assert asks(body) == ("m\u00e9", True)
    assert asks(body, b"text/plain") == ("m\u00e9", True)
    assert glance(body) == ("m\u00e9", True)
    new = renamed(body, "\u00fc")
    assert new is not None
    assert json.loads(new) == {"model": "\u00fc", "stream": True, "x": "\U0001f389"}
    assert new[:4] == body[:4]


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json", b"Application/JSON", b"application/json; charset=utf-8",
        b"application/vnd.api+json", b"text/json", b"", b"text/plain", b"application/octet-stream",
        b"application/x-www-form-urlencoded",
    ],
)  # fmt: skip
def test_whatever_it_is_called(content_type: bytes) -> None:
    body = b' \n{"model":"m"}'
    assert asks(body, content_type) == ("m", False)
    assert worth_a_glance(body, content_type)


@pytest.mark.parametrize(
    "body", [b"RIFF....", b"a=b&model=m", b"[1]", b'"m"', b"\0\0\1", b" " * 99]
)
def test_what_can_be_no_object_names_no_model(body: bytes) -> None:
    assert asks(body, b"audio/wav") == (None, False)
    assert not worth_a_glance(body, b"audio/wav")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"model"', b"5", b" [1", b'[{"model":"m"}]'])
def test_another_json_value_names_no_model(body: bytes) -> None:
    assert asks(body) == (None, False)
    assert glance(body) == (None, False)
    assert renamed(body) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"model":"m"} trailing', "not valid JSON"),
        (b'{"model":"m"}{"model":"n"}', "not valid JSON"),
        (b'{"model":"m"', "not valid JSON"),
        (b'{"model":"m",}', "not valid JSON"),
        (b"{'model':'m'}", "not valid JSON"),
        (b'// comment\n{"model":"m"}', "not valid JSON"),
        (b'{"model":"m\n"}', "not valid JSON"),
        (b'{"model":"\\x"}', "not valid JSON"),
        (b'{"x":"model":"m"}', "not valid JSON"),
        (b"\xff\xfe\xff", "not valid JSON"),
        (b'{"model":"m","a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"model":"m","a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "nested too deeply"),
        (b'{"Model":"m"}', "another letter case"),
        (b'{"model":"m","MODEL":"n"}', "another letter case"),
        (b'{"' + b'":1,"'.join(b"%d" % n for n in range(2000)) + b'":1}', "more than 1,000"),
    ],
)
def test_what_can_not_be_told(body: bytes, why: str) -> None:
    with pytest.raises(ModelUnknown, match=why) as raised:
        read(body, JSON)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"model":"a","model":"b"}', "twice"),
        (b'{"model":"a","mod\\u0065l":"b"}', "twice"),
        (b'{"model":"a","model":null}', "twice"),
        (b'{"model":5}', "not a string"),
        (b'{"model":["m"]}', "not a string"),
        (b'{"model":{"model":"m"}}', "not a string"),
        (b'{"model":true}', "not a string"),
        (b'{"model":"\\ud83d"}', "not a string"),
        (b'{"model":"\xff"}', "not a string"),
        (b'{"model":"' + b"m" * 5000 + b'"}', "too long"),
    ],
)
def test_no_route_goes_by_what_servers_read_differently(body: bytes, why: str) -> None:
    for each in small_and_large(body):
        asked = read(each, JSON)
        assert asked.doubt is not None
        assert why in asked.doubt.message
        assert read(asked.with_model("new"), JSON).doubt is None
        assert asks(asked.with_model("new"))[0] == "new"  # but an alias makes it certain


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    model, stream = glance(body)
    assert isinstance(stream, bool)
    for content_type in (JSON, b"", BOUND):
        try:
            asked = read(body, content_type)
        except ModelUnknown:
            continue
        if asked.named:
            assert asks(asked.with_model("new"), content_type)[0] == "new"
        assert content_type == BOUND or asked.doubt or asked.model == model


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"m"}', b'{"model":"new"}'),
        (b'{\t"model" :\r\n "m" } \n', b'{\t"model" :\r\n "new" } \n'),
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
        (b'{"model":"m","model":"m"}', b'{"model":"new","model":"new"}'),
        (b'{"a":1, "a":22, "model":"m"}', b'{"a":1, "a":22, "model":"new"}'),
        (b'{"model":"m","mode\\u006C":"last","a": 1e1}',
         b'{"model":"new","mode\\u006C":"new","a": 1e1}'),
        (b'{"model":5,"stream":1}', b'{"model":"new","stream":1}'),
        (b'{"model":"m","temperature":1.0e0,"n":1E400}',
         b'{"model":"new","temperature":1.0e0,"n":1E400}'),
        (b'{"a":"\\ud83d\\\\","model":"m","b":NaN}', b'{"a":"\\ud83d\\\\","model":"new","b":NaN}'),
    ],
)  # fmt: skip
def test_only_the_name_is_replaced(body: bytes, changed: bytes) -> None:
    for each, expected in zip(small_and_large(body), small_and_large(changed), strict=True):
        assert renamed(each) == expected


@pytest.mark.parametrize(
    "body", [b"{}", b'{"a":{"model":"m"}}', b'{"model":null}', b'{"a":"model"}']
)
def test_where_there_is_no_name_to_replace(body: bytes) -> None:
    for each in small_and_large(body):
        assert renamed(each) is None


KEYS = st.sampled_from(["model", "messages", 'a"model', "model\\", "\N{BOMB}", ""])
TEXTS = st.one_of(st.sampled_from(["model", '"model": "x"', "\\", "0", "1"]), st.text(max_size=5))
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(0, 3), st.none(), st.booleans()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
)
ODD = st.sampled_from([float("nan"), float("inf"), "\ud83d", "\\\ud83d", "NaN"])


@given(
    st.dictionaries(KEYS, VALUES, max_size=5),
    TEXTS,
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_as_if_it_were_decoded_and_encoded(
    old: dict[str, Any], model: str, indent: int | None, ascii_only: bool, named: bool, long: bool
) -> None:
    old = {"pad": "x" * 5000 * long} | old
    body = json.dumps(old, indent=indent, ensure_ascii=ascii_only).encode()
    if named:
        body = body.replace(b'"model"', b'"\\u006dodel"', 1)
    new = renamed(body, model)
    if old.get("model") is None:
        assert new is None
        return
    assert new is not None
    assert json.loads(new) == old | {"model": model}
    assert asks(new)[0] == model
    assert len(new) - len(body) == len(json.dumps(model, ensure_ascii=False).encode()) - len(
        json.dumps(old["model"], ensure_ascii=ascii_only, indent=indent).encode()
    ) or not isinstance(old["model"], str)


@given(st.dictionaries(KEYS, VALUES | ODD, max_size=5), st.sampled_from(["utf-8", "utf-16"]))
def test_what_pythons_reader_takes_is_read_alike(old: dict[str, Any], codec: str) -> None:
    body = json.dumps({"odd": "\ud83d", "nan": float("nan")} | old).encode(codec)
    asked = read(body, JSON)
    model = json.loads(body).get("model")
    if isinstance(model, str) and "\ud83d" not in model:
        assert (asked.model, asked.doubt) == (model, None)
        again = json.loads(asked.with_model("new"))
        assert json.dumps(again) == json.dumps(json.loads(body) | {"model": "new"})
    else:
        assert asked.model is None
        assert (asked.doubt is None) == (model is None)


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
    values = [json.loads(value) for name, value in pairs if json.loads(name) == "model"]
    asked = read(body.encode(), JSON)
    assert asked.named == any(value is not None for value in values)
    one_text = all(isinstance(value, str) and value == values[0] for value in values)
    assert (asked.doubt is None) == (one_text or not asked.named)
    if asked.named:
        again: list[tuple[str, Any]] = json.loads(
            asked.with_model(model), object_pairs_hook=lambda pairs: pairs
        )
        assert [name for name, _ in again] == [json.loads(name) for name, _ in pairs]
        assert {value for name, value in again if name == "model"} == {model}


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


@given(st.lists(PIECES, max_size=20).map(b"".join), st.booleans())
def test_any_pieces(body: bytes, long: bool) -> None:
    if long:
        body = b" " * 5000 + body
    try:
        asked = read(body, JSON)
    except ModelUnknown:
        return
    if asked.doubt is None:
        assert asked.model == glance(body)[0]
    if asked.named:
        assert asks(asked.with_model("new"))[0] == "new"
