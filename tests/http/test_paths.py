"""Which paths are read in one way by all servers, and how they may be read otherwise."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.paths import as_read, has_dot_segment, plain

PLAIN = [
    "/", "*", "/v1", "/v1/", "/v1/chat/completions", "/v1/models/gemini-2.5-pro:generateContent",
    "/v1/a..b", "/v1/a.", "/v1/@(!$&'*+,=~_-)", "/v1/\xff",
]  # fmt: skip
OTHERS = {
    "//v1": "/v1",
    "/v1//chat": "/v1/chat",
    "/v1/chat//": "/v1/chat/",
    "/v1/%63hat": "/v1/chat",
    "/v1/org%2Fmodel": "/v1/org/model",
    "/v1/org%5cmodel": "/v1/org/model",
    "/v1\\chat": "/v1/chat",
    "/v1/files;v=1/x": "/v1/files/x",
    "/v1/;/x": "/v1/x",
    "/v1/x%3by": "/v1/x",
    "/v1/.well-known": "/v1/.well-known",
    "/v1/...": "/v1/...",
    "/v1/%252e": "/v1/%2e",
    "/v1/100%": "/v1/100%",
    "/v1/files%00/x": "/v1/files/x",
}
DOTS = [
    "/..", "/.", "/v1/..", "/v1/../x", "/v1/./x", "/v1/.", "/v1/%2e%2e/x", "/v1/%2E./x", "/v1/.%2e",
    "/v1/%2e", "/v1/..%2fx", "/v1/..%2Fx", "/v1/a%2f..%2Fx", "/v1/..\\x", "/v1/..%5cx",
    "/v1\\..\\x", "/v1/..;/x", "/v1/..;a=b/x", "/v1/.;/x", "/v1/..%3b/x", "/v1//../x",
    "/v1/a/%2e%2e", "/v1/..%00", "/v1/..%00x/y", "/v1/x%00/../y",
]  # fmt: skip


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_path_is_read_as_it_is_written(path: str) -> None:
    assert plain(path)
    assert as_read(path) == path
    assert not has_dot_segment(path)


@pytest.mark.parametrize(("path", "read"), OTHERS.items())
def test_what_another_path_may_be_read_as(path: str, read: str) -> None:
    assert not plain(path)
    assert as_read(path) == read
    assert not has_dot_segment(read)


@pytest.mark.parametrize("path", DOTS)
def test_dot_segments(path: str) -> None:
    assert not plain(path)
    assert has_dot_segment(as_read(path))


PIECES = st.lists(
    st.sampled_from(
        ["/", "/", ".", "..", "%2e", "%2F", "%5c", "\\", "a", "%61", ";", "%", "*", "2f"]
    )
).map("".join)


@given(PIECES)
def test_a_plain_path_has_no_other_reading(path: str) -> None:
    if plain(path):
        assert as_read(path) == path
        assert not has_dot_segment(path)
        assert path == "*" or posixpath.normpath(path) in (path, path.rstrip("/"), "/", ".")


@given(PIECES)
def test_what_has_no_dot_segment_climbs_nowhere(path: str) -> None:
    read = as_read("/" + path)
    if not has_dot_segment(read):
        decoded = unquote("/" + path).replace("\\", "/")
        cut = re.sub(";[^/]*", "", decoded)  # as servers do that know parameters
        for form in ("/" + path, decoded, cut, read):
            assert posixpath.normpath("/base/" + form).startswith("/base")
            assert "/../" not in form + "/"
