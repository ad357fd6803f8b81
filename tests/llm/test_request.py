"""What a body says of its call, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.request import NOTHING, asked


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
