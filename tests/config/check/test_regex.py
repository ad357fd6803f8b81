"""Regular expressions of the configuration: none that is accepted takes too long on any text."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config.check.regex import LINEAR, slow
from tests.fuzz.patterns import Use, attacks, superlinear
from tests.fuzz.regex_steps import Matcher, TooMany

LINEAR_ONES = [
    "hi",
    r"(?i)\b(hi|hello|hey)\b",
    r"^\s*hi\s*$",
    r"order\s+(?P<number>\d+)",
    r"\d{4}-\d{2}-\d{2}",
    "what(?:'s| is) the (?:weather|time)",
    r"sk-[A-Za-z0-9]{20,}",
    r"\b4[0-9]{12}(?:[0-9]{3})?\b",
    r"\A[a-z]+-",
    "(?i)stra(ß|ss)e",
]
QUADRATIC_ONES = [
    "foo.*bar",
    r"a*b",
    r"[\w.+-]+@[\w-]+\.[\w.-]+",
    r"how (?>.*?make ).*?bomb",
    r"\bweather\b.*\bin\s+(?P<city>\w+)",
    "my name is (?P<name>[A-Za-z ]+)",
    "(?:[a-z]+ )*x",
    "(?:a++)*b",
]
TOO_SLOW = [
    "(a+)+b",
    "(?:a|aa)*b",
    "a*a*b",
    "how .*make .*bomb",
    "(?:a?){30}b",
    "(.*a){20}",
    "(?:x+x+)+y",
    "([a-zA-Z]+)*",
    r"(?:\s+a?\s+)*b",
    r"(a)\1",
    r"(a)?(?(1)b|c)",
    "a{1,9}a{1,9}a{1,9}b",
    "(?i)(?:kk|\u212aa)*x",  # the Kelvin sign equals a k if letter case is ignored
]


@pytest.mark.parametrize("text", LINEAR_ONES)
def test_linear_ones_are_taken(text: str) -> None:
    assert slow(text, LINEAR) is None


@pytest.mark.parametrize("text", QUADRATIC_ONES)
def test_quadratic_ones_are_taken_for_short_texts(text: str) -> None:
    assert slow(text) is None
    assert slow(text, LINEAR) is not None


@pytest.mark.parametrize("text", TOO_SLOW)
def test_slow_ones_are_refused(text: str) -> None:
    assert slow(text) is not None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "expected 1 to 500 characters"),
        ("a" * 501, "expected 1 to 500 characters"),
        ("(", "not a regular expression: missing )"),
        ("[a", "not a regular expression: unterminated character set"),
        ("a{2,1}", "not a regular expression: min repeat greater than max repeat"),
        ("[[a]", "not a regular expression: "),  # a nested set, in a later Python
    ],
)
def test_what_is_none_is_told(text: str, wrong: str) -> None:
    assert (slow(text) or "").startswith(wrong)


CHARACTERS = st.sampled_from(["a", "b", " ", "[ab]", "[^a]", ".", r"\w", r"\s", r"\b", "c"])
COUNTS = st.sampled_from(["*", "+", "?", "*?", "+?", "*+", "++", "{2}", "{0,3}", "{3,}", "{1,40}"])


def patterns(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        several.map("".join),
        several.map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, COUNTS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda part: f"(?>{part})"),
        inner.map(lambda part: f"(?={part})"),
    )


REGEX = st.recursive(
    st.tuples(CHARACTERS, COUNTS | st.just("")).map("".join), patterns, max_leaves=8
)


@settings(max_examples=60, deadline=None)
@given(REGEX)
def test_what_is_taken_is_as_fast_as_is_said(text: str) -> None:
    """Against the matcher that counts its steps, on the texts that the fuzzer finds."""
    if slow(text, LINEAR) is None:
        assert superlinear(Use("drawn", re.compile(text), "search")) is None
    elif slow(text) is None:
        for attack in list(attacks(re.compile(text)))[:20]:
            assert not more_than_quadratic(text, attack), attack


def more_than_quadratic(text: str, attack: tuple[list[int], list[int], list[int]]) -> bool:
    """Whether three times as much takes more than nine times as long, with something to spare."""
    short, long = steps(text, attack, 60), steps(text, attack, 180)
    return long > 16 * short and long > 60_000


def steps(text: str, attack: tuple[list[int], list[int], list[int]], size: int) -> int:
    prefix, pump, suffix = ("".join(map(chr, part)) for part in attack)
    matcher = Matcher(re.compile(text), 2_000_000)
    try:
        matcher.search(prefix + pump * (size // len(pump)) + suffix, "search")
    except TooMany:
        return 10**9
    return matcher.steps


@given(st.text(alphabet="ab()[]{}*+?|\\^$.,-:=<>!P12sdwb", max_size=30))
def test_any_text_is_judged(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slow(text)
