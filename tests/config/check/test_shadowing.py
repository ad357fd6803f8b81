import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.check.shadowing import covers
from sidecar.config.model import Match, Secret


def match(**parts: object) -> Match:
    headers = parts.pop("headers", {})
    assert isinstance(headers, dict)
    secret = {name: Secret(glob) for name, glob in headers.items()}
    return Match(headers=secret, **parts)  # type: ignore[arg-type]


COVERED: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {"path": "/v1", "model": "x", "headers": {"a": "b"}}),
    ({"path": "/"}, {}),
    ({"path": "/v1"}, {"path": "/v1/"}),
    ({"path": "/v1/"}, {"path": "/v1/chat", "method": "POST"}),
    ({"path": "/{a}/"}, {"path": "/azure/x"}),
    ({"path": "/{a}/"}, {"path": "/{b}/{c}"}),
    ({"host": "*.x.com"}, {"host": "a.b.x.com"}),
    ({"host": "*.x.com"}, {"host": "*.y.x.com"}),
    ({"host": "*.x.com"}, {"host": "{a}.x.com"}),
    ({"host": "{a}.x.com"}, {"host": "b.x.com"}),
    ({"host": "{a}.x.com"}, {"host": "{b}-api.x.com"}),
    ({"host": "{a}-api.x.com"}, {"host": "eu-api.x.com"}),
    ({"model": "*"}, {"model": "glm-*"}),
    ({"model": "glm-*"}, {"model": "glm-4?"}),
    ({"model": "g*m"}, {"model": "glm"}),
    ({"model": "g?m"}, {"model": "glm"}),
    ({"headers": {"X-A": "*"}}, {"headers": {"x-a": "b", "c": "d"}}),
]
NOT_COVERED: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"path": "/v1"}, {}),
    ({"path": "/v1"}, {"path": "/v10"}),
    ({"path": "/v1/chat"}, {"path": "/v1"}),
    ({"path": "/v1"}, {"path": "/{a}"}),
    ({"path": "/{a}"}, {"path": "/a.b"}),
    ({"host": "x.com"}, {}),
    ({"host": "x.com"}, {"host": "y.com"}),
    ({"host": "*.x.com"}, {"host": "x.com"}),
    ({"host": "{a}.x.com"}, {"host": "*.x.com"}),
    ({"host": "{a}.x.com"}, {"host": "a.b.x.com"}),
    ({"host": "{a}-api.x.com"}, {"host": "{b}.x.com"}),
    ({"method": "GET"}, {"method": "POST"}),
    ({"method": "GET"}, {}),
    ({"model": "*"}, {}),
    ({"model": "glm-?"}, {"model": "glm-*"}),
    ({"model": "glm-4"}, {"model": "glm-*"}),
    ({"model": "a*a"}, {"model": "a"}),
    ({"model": "g?m"}, {"model": "gm"}),
    ({"headers": {"a": "*"}}, {}),
    ({"headers": {"a": "b"}}, {"headers": {"a": "*"}}),
]


@pytest.mark.parametrize(("first", "second"), COVERED)
def test_covered(first: dict[str, object], second: dict[str, object]) -> None:
    assert covers(match(**first), match(**second))


@pytest.mark.parametrize(("first", "second"), NOT_COVERED)
def test_not_covered(first: dict[str, object], second: dict[str, object]) -> None:
    assert not covers(match(**first), match(**second))


def as_regex(pattern: str) -> re.Pattern[str]:
    """The plain meaning of a pattern, to hold `covers` against."""
    found = re.split(r"(\*|\?|\{\w+\})", pattern)
    kinds = {"*": ".*", "?": "."}
    parts = (
        "[A-Za-z0-9-]{1,63}" if part[:1] == "{" else kinds.get(part, re.escape(part))
        for part in found
    )
    return re.compile("".join(parts))


globs = st.text("ab*?", min_size=1, max_size=6)
names = st.text("ab", max_size=6)


@given(globs, globs, st.lists(names, max_size=20))
def test_a_covering_glob_takes_all_that_the_other_takes(
    first: str, second: str, texts: list[str]
) -> None:
    if covers(match(model=first), match(model=second)):
        for text in texts:
            if as_regex(second).fullmatch(text):
                assert as_regex(first).fullmatch(text)


parts = st.sampled_from(["a", "b", "a-b", "{x}"])
paths = st.lists(parts, max_size=3).map(lambda p: "/" + "/".join(p))


@given(paths, paths, st.lists(st.sampled_from(["a", "b", "a-b", "c", "c.d"]), max_size=4))
def test_a_covering_path_takes_all_that_the_other_takes(
    first: str, second: str, segments: list[str]
) -> None:
    if covers(match(path=first), match(path=second)):
        path = "/" + "".join(f"{segment}/" for segment in segments)
        if prefix(second).match(path):
            assert prefix(first).match(path)


def prefix(path: str) -> re.Pattern[str]:
    return re.compile(as_regex(path.rstrip("/")).pattern + "(?=/|$)")


hosts = st.lists(st.sampled_from(["a", "b", "{x}", "{x}-b", "a-{x}"]), min_size=1, max_size=3)


@given(
    hosts,
    hosts,
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "a-b", "a-a-b"])),
)
def test_a_covering_host_takes_all_that_the_other_takes(
    first: list[str], second: list[str], wild1: bool, wild2: bool, labels: list[str]
) -> None:
    one, two = "*." * wild1 + ".".join(first), "*." * wild2 + ".".join(second)
    if covers(match(host=one), match(host=two)):
        host = ".".join(labels)
        if as_regex(two).fullmatch(host):
            assert as_regex(one).fullmatch(host)


def test_many_stars_cost_little() -> None:
    assert not covers(match(model="*a" * 100 + "b"), match(model="a" * 256))
