"""What steers a terminal or hides text is shown, and says the same to a reader of JSON."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.observe.escape import escape_json, escape_text

STEERING = [
    "\x7f",
    "\x9b31m",
    "\x85",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200f",
    "\u061c",
    "\ufeff",
    "\u2028",
]


@pytest.mark.parametrize("text", STEERING)
def test_what_steers_is_shown(text: str) -> None:
    shown = escape_text(f"a{text}b")
    assert shown.isascii()
    assert shown.isprintable()
    assert escape_json(json.dumps(text, ensure_ascii=False)).isascii()


@given(st.text())
def test_json_says_the_same(text: str) -> None:
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == text


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    kinds = {unicodedata.category(character) for character in escape_text(text)}
    assert not kinds & {"Cc", "Zl", "Zp"}
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069") & set(escape_text(text))


@pytest.mark.parametrize("text", ["gpt-5", "Grüße", "日本語", "🎉", "a b"])
def test_ordinary_text_stays(text: str) -> None:
    assert escape_text(text) == text
