"""Where a stream of events may be cut, against the standard's own way to read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.sse import Boundary


def at_boundary(chunks: list[bytes]) -> bool:
    boundary = Boundary()
    for chunk in chunks:
        boundary.feed(chunk)
    return boundary.at_boundary()


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\r\n"])
def test_behind_an_event(end: bytes) -> None:
    assert at_boundary([b"data: a" + end])
    assert at_boundary([b"data: a", *(end[at : at + 1] for at in range(len(end)))])
    assert not at_boundary([b"data: a" + end + b"d"])


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n ", b"\n:", b"\n\t\n"])
def test_within_an_event(end: bytes) -> None:
    assert not at_boundary([b"data: a" + end])
    assert not at_boundary([b"data: a\n\n", b"d" + end])


def test_before_the_first_event() -> None:
    assert at_boundary([])
    assert at_boundary([b"\r\n"])


def last_line_is_empty(stream: bytes) -> bool:
    """Lines end with CR LF, LF or CR; an empty one ends an event."""
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return lines[-1] == b"" and (len(lines) == 1 or lines[-2] == b"")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"data: b", b"\n\n"])))
def test_any_stream_in_any_chunks(chunks: list[bytes]) -> None:
    assert at_boundary(chunks) == last_line_is_empty(b"".join(chunks))
