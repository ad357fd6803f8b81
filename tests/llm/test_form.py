"""Forms, and the model that they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelUnknown
from sidecar.llm.request import NOTHING, Asked, read

TYPE = b"multipart/form-data; boundary=xyz"
NAMED = b'Content-Disposition: form-data; name="%b"'
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="C:\\a.wav"\r\nContent-Type: audio/wav'
)


def part(head: bytes, value: bytes, boundary: bytes = b"xyz") -> bytes:
    return b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


def field(name: bytes, value: bytes) -> bytes:
    return part(NAMED % name, value)


def asks(body: bytes, content_type: bytes = TYPE) -> Asked:
    asked = read(body, content_type)
    assert asked.doubt is None
    return asked


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (form(field(b"model", b"whisper-1"), part(FILE, b"RIFF\0\r\n--x")), b"whisper-1"),
        (form(part(FILE, b""), field(b"model", b"whisper-1")), b"whisper-1"),
        (form(part(b"content-disposition:form-data;name=model", b"m")), b"m"),
        (form(part(b"X: y\r\n" + NAMED % b"model" + b"\r\nContent-Type: text/plain", b"m")), b"m"),
        (form(field(b"model", b"")), b""),
        (form(field(b"model", b"a"), field(b"model", b"a")), b"a"),
        (form(field(b"model", b"a")) + b"behind\r\n", b"a"),
    ],
)
def test_the_model_that_it_names(body: bytes, model: bytes) -> None:
    asked = asks(body)
    assert (asked.model, asked.stream, asked.named) == (model.decode(), False, True)
    assert asked.with_model("new") == body.replace(
        b"\r\n\r\n" + model + b"\r\n--", b"\r\n\r\nnew\r\n--"
    )
    assert asks(asked.with_model("new")).model == "new"


@pytest.mark.parametrize(
    "body",
    [
        form(),
        form(field(b"purpose", b"batch"), part(FILE, b"model")),
        form(field(b"Model", b"x"), field(b"models", b"x"), field(b"model[]", b"x")),
        form(part(FILE, b'Content-Disposition: form-data; name="model"\r\n\r\nx')),
        form(part(FILE + b"\r\nContent-Transfer-Encoding: base64", b"bW9kZWw=")),
    ],
)
def test_a_form_that_names_none(body: bytes) -> None:
    asked = asks(body)
    assert (asked.model, asked.named) == (None, False)


def test_whether_it_streams() -> None:
    for value, streams in ((b"true", True), (b"True", True), (b"1", True), (b"false", False)):
        assert asks(form(field(b"stream", value))).stream is streams


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b'Multipart/Form-Data; Boundary="xyz"', b"xyz"),
        (b"multipart/form-data;charset=utf-8;boundary=xyz", b"xyz"),
        (b'multipart/form-data; boundary="a b"', b"a b"),
    ],
)
def test_how_its_boundary_is_said(content_type: bytes, boundary: bytes) -> None:
    body = part(NAMED % b"model", b"m", boundary) + b"--" + boundary + b"--"
    assert asks(body, content_type).model == "m"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(field(b"model", b"m")), b"multipart/form-data"),
        (form(field(b"model", b"m")), TYPE + b"; boundary=other"),
        (form(field(b"model", b"m")), b"multipart/form-data; boundary=other"),
        (b"preamble\r\n" + form(field(b"model", b"m")), TYPE),
        (field(b"model", b"m"), TYPE),
        (b"", TYPE),
        (b"--xyz", TYPE),
        (form(field(b"model", b"m")).replace(b"\r\n", b"\n"), TYPE),
        (form(part(b"X: y", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"\r\n" + NAMED % b"x", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"; name=x", b"m")), TYPE),
        (form(part(NAMED % b"x" + b"; name*=utf-8''model", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"; filename=a", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"\r\nContent-Transfer-Encoding: base64", b"bQ==")), TYPE),
        (form(part(NAMED % b"model" + b"\r\nX: " + b"x" * 9000, b"m")), TYPE),
        (form(field(b"model", b"m" * 5000)), TYPE),
        (form(field(b"model", b"m\n--xyz\n")), TYPE),
        (form(part(FILE, b"--xyz")), TYPE),
        (form(part(NAMED % b"model" + b"x", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"\r\nContent-Disposition: other", b"m")), TYPE),
        (form(part(NAMED % b"model" + b"\r\nno header", b"m")), TYPE),
        (form(part(b"Content-Disposition: form-data; name=model\\", b"m")), TYPE),
        (form(field(b"mo\\del", b"m")), TYPE),
        (form(part(NAMED % b"a" + b'; filename="\\"; name=\\"model"', b"m")), TYPE),
        (form(field(b"model", b"\xff")), TYPE),
        (form(*[field(b"a", b"")] * 1001), TYPE),
        (b"--xyz\r\n" + NAMED % b"model" + b"\r\n\r\n--xyz--\r\n", TYPE),
    ],
)
def test_what_servers_may_read_otherwise(body: bytes, content_type: bytes) -> None:
    with pytest.raises(ModelUnknown, match="form"):
        read(body, content_type)


def test_two_models_are_none() -> None:
    asked = read(form(field(b"model", b"a"), field(b"model", b"b")), TYPE)
    assert asked.doubt is not None
    assert asks(asked.with_model("new")).model == "new"


def test_another_kind_of_multipart_is_no_form() -> None:
    assert read(form(field(b"model", b"m")), b"multipart/mixed; boundary=xyz") is NOTHING


PIECES = st.sampled_from(
    [b"--xyz", b"--", b"\r\n", b"\r\n\r\n", NAMED % b"model", NAMED % b"a", b"m", FILE, b";", b'"']
)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_any_pieces(body: bytes) -> None:
    try:
        asked = read(b"--xyz" + body, TYPE)
    except ModelUnknown:
        return
    if asked.named:
        assert asks(asked.with_model("new")).model == "new"


URLENCODED = b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "model", "renamed"),
    [
        (b"model=m", "m", b"model=a%2Fb+c"),
        (b"a=b&model=m%2F1&c", "m/1", b"a=b&model=a%2Fb+c&c"),
        (b"m%6fdel=x+y&stream=true", "x y", b"m%6fdel=a%2Fb+c&stream=true"),
        (b"model=m&x=1&model=m", "m", b"model=a%2Fb+c&x=1&model=a%2Fb+c"),
        (b"model=", "", b"model=a%2Fb+c"),
        (b"Model=m&models=n&&", None, b""),
        (b"", None, b""),
    ],
)
def test_the_model_of_an_urlencoded_form(body: bytes, model: str | None, renamed: bytes) -> None:
    asked = asks(body, URLENCODED + b";charset=utf-8")
    assert (asked.model, asked.named) == (model, model is not None)
    if asked.named:
        assert asked.with_model("a/b c") == renamed
        assert asks(renamed, URLENCODED).model == "a/b c"


def test_json_that_is_called_urlencoded_is_json() -> None:
    asked = asks(b'{"model":"m","a":"b&model=n"}', URLENCODED)  # as `curl -d` sends it
    assert asked.model == "m"


@pytest.mark.parametrize(
    "body",
    [b"model", b"a=b;model=m", b"&".join([b"a=b"] * 1001), b"model=%ff", b"model=" + b"m" * 5000],
)
def test_what_servers_may_read_otherwise_in_an_urlencoded_form(body: bytes) -> None:
    with pytest.raises(ModelUnknown, match="form"):
        read(body, URLENCODED)
    doubled = read(b"model=a&model=b", URLENCODED)
    assert doubled.doubt is not None


def test_a_form_among_several_types_is_read() -> None:
    assert asks(form(field(b"model", b"m")), b"text/plain, " + TYPE).model == "m"
    with pytest.raises(ModelUnknown):
        read(b'{"model":"m"}', b"application/json, " + TYPE)
