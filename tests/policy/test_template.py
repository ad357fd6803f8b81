"""Placeholders are filled once, and braces in what fills them stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.template import Template


@pytest.mark.parametrize(
    ("text", "names", "filled"),
    [
        ("", set(), ""),
        ("plain", set(), "plain"),
        ("{a}", {"a"}, "1"),
        ("x{a}y{b}z{a}", {"a", "b"}, "x1y2z1"),
        ("{{}}", set(), "{}"),
        ('{{"n": {a}}}', {"a"}, '{"n": 1}'),
        ("{{{a}}}", {"a"}, "{1}"),
        ("{{a}}", set(), "{a}"),
        ("{1}", {"1"}, "3"),
    ],
)
def test_a_template_is_filled(text: str, names: set[str], filled: str) -> None:
    template = Template(text)
    assert template.names == names
    assert template.fill({"a": "1", "b": "2", "1": "3"}) == filled


@pytest.mark.parametrize("text", ["{", "}", "{ a }", "{a", "a}", "{}", "{a.b}", "{{{", "{é}"])
def test_a_lone_brace_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="brace by itself"):
        Template(text)


@given(st.text(), st.text(), st.text())
def test_what_fills_it_is_not_looked_at_again(before: str, value: str, after: str) -> None:
    def doubled(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = Template(f"{doubled(before)}{{a}}{doubled(after)}")
    assert template.fill({"a": value}) == before + value + after
