"""No regular expression takes more than linear time, whatever it is given."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.proxy.routing import router
from tests.fuzz.patterns import Use, attacks, is_bytes, superlinear, uses
from tests.fuzz.regex_steps import Matcher, TooMany

TRUSTED: Final = {
    "sidecar.ca.bundle._BLOCK": "the machine's own certificates",
    "sidecar.launch.summary._LABEL": "the sidecar's own metrics",
}
"""Patterns that no stranger's bytes come to, or that are used otherwise than it seems."""


def compiled() -> list[Use]:
    """Patterns that come of a configuration, which the worst of texts may meet."""
    globs = [router._glob(glob) for glob in ("*", "a*", "*a*b*c*", "*a?b*a?b*", "a*a*a*a")]
    paths = [router._path_pattern(path) for path in ("/v1", "/{a}/x/{b}", "/{a}-{b}")]
    hosts = [router._host_pattern(host) for host in ("*.x.com", "{a}.x", "{a}-api.{b}.com")]
    return [
        *(Use(f"a glob: {each.pattern}", each, "match") for each in globs),
        *(Use(f"a path: {each.pattern}", each, "match") for each in paths),
        *(Use(f"a host: {each.pattern}", each, "fullmatch") for each in hosts),
    ]


def name(use: Use) -> str:
    return f"{use.where} {use.how}"


def trusted(use: Use) -> bool:
    return use.where in TRUSTED


ALL: Final = uses()


@pytest.mark.parametrize("use", [u for u in ALL + compiled() if not trusted(u)], ids=name)
def test_it_takes_linear_time(use: Use) -> None:
    assert superlinear(use) is None


def test_what_is_trusted_is_still_there() -> None:
    found = [use for use in ALL if trusted(use)]
    assert len({use.where for use in found}) == len(TRUSTED)
    assert all(superlinear(use) for use in found)


def test_all_kinds_of_uses_are_found() -> None:
    found = {name(use) for use in ALL}
    assert {
        "sidecar.http.sniff._HOST search",
        "sidecar.http.fields._NAMES fullmatch",  # kept as a bound method
        "sidecar.http.proxied._CONNECT match",
        "sidecar.config.check.urls._CAPTURE search",
    } <= found
    assert any(re.fullmatch(r"sidecar\.config\.read\.tree:\d+ fullmatch", each) for each in found)
    assert len(found) > 50


SLOW: Final = [
    (rb"\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n]*?)[ \t]*\r?\n", "search"),
    (rb"([!#-Z]+):[ \t]*((?:[!-~](?:[\t -~]*[!-~])?)?)[ \t]*", "fullmatch"),
    (rb"(?i)https?://([^/?#]*)([^#]*)", "fullmatch"),
    (rb"(a+)+b", "match"),
    (rb"(?:a|aa)*b", "match"),
    (rb"(?:a|b|ab)*c", "fullmatch"),
    (rb"a*b", "search"),
    (rb"x:.*\Z", "search"),
    (rb'(\w+)="((?:[^"\\]|\\.)*)"', "search"),
    (r"\s+$", "search"),
    (r"^(?:.*,){3}z", "match"),
]
"""What was in the sidecar once, and what the books warn of."""


@pytest.mark.parametrize(("pattern", "how"), SLOW)
def test_a_slow_pattern_is_found(pattern: str | bytes, how: str) -> None:
    assert superlinear(Use("planted", re.compile(pattern), how)) is not None


FAST: Final = [
    (rb"\n[Hh][Oo][Ss][Tt]:[ \t]*+([^\r\n]*+)\r?\n", "search"),
    (rb"(?>a+)b", "match"),
    (rb"a*b", "match"),
    (rb"[a-z](?:[a-z.-]{0,251}[a-z])?", "fullmatch"),
    (rb"[^,]*,[^,]*,[^,]*", "match"),
    (r"\A(?:[a-z]|[0-9])*z", "match"),
]


@pytest.mark.parametrize(("pattern", "how"), FAST)
def test_a_fast_pattern_is_left_alone(pattern: str | bytes, how: str) -> None:
    assert superlinear(Use("planted", re.compile(pattern), how)) is None


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("use", ALL + compiled(), ids=name)
def test_the_matcher_that_counts_matches_as_re_does(use: Use, data: st.DataObject) -> None:
    pieces = [piece for attack in attacks(use.pattern) for piece in attack if piece]
    codes = data.draw(st.lists(st.sampled_from(pieces), max_size=6)) if pieces else [[97]]
    text = "".join(chr(code) for piece in codes for code in piece)
    matcher = Matcher(use.pattern)
    if is_bytes(use.pattern):
        match = getattr(use.pattern, use.how)(text.encode("latin-1"))
        found = matcher.search(text.encode("latin-1"), use.how)
    else:
        match = getattr(use.pattern, use.how)(text)
        found = matcher.search(text, use.how)
    assert found == (match.span() if match else None)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a|b)\1", "abb"),
        (r"\bword\b", "a word here"),
        (r"(?<=a)b", "cab"),
        (r"(?<!a)b", "abb"),
        (r"a*?b", "aab"),
        (r"(?:ab)*+c", "ababc"),
        (r"(?i)[^a-c]É", "xé"),
        (r"(?m)^b$", "a\nb\nc"),
        (r"a{2,3}", "aaaa"),
        (r"(?:a?)*b", "aab"),
        (r"a.c", "a\nc abc"),
        (r"(?s)a.c", "a\nc"),
        (r"\D\W\S", "1a b-c"),
    ],
)
def test_operations_that_the_sidecar_does_not_use_yet(pattern: str, text: str) -> None:
    found = re.search(pattern, text)
    assert Matcher(re.compile(pattern)).search(text, "search") == (found and found.span())


def test_steps_are_bounded() -> None:
    with pytest.raises(TooMany):
        Matcher(re.compile("(a+)+b"), most=1000).search("a" * 50, "match")
