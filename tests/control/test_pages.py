from __future__ import annotations

import json

import pytest

from sidecar.control.answers import Answer, Request, encode
from sidecar.control.pages import admin_pages, health_pages, refuse

CHANGES = ["/log-level", "/drain", "/quit"]
READS = ["/", "/ready", "/live", "/metrics", "/config", "/upstreams", "/routes", "/connections"]


@pytest.mark.parametrize("path", [*READS, "/log-level"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_can_be_read(path: str, method: str) -> None:
    assert refuse(Request(method, path), admin_pages()) is None


@pytest.mark.parametrize("path", CHANGES)
def test_what_can_be_changed(path: str) -> None:
    assert refuse(Request("POST", path), admin_pages()) is None


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/drain", "POST"),
        ("HEAD", "/quit", "POST"),
        ("PUT", "/log-level", "GET, HEAD, POST"),
        *(("POST", path, "GET, HEAD") for path in READS),
    ],
)
def test_another_method_is_405_and_says_which(method: str, path: str, allowed: str) -> None:
    answer = refuse(Request(method, path), admin_pages())
    assert answer is not None
    assert (answer.status, answer.headers) == (405, {"Allow": allowed})


@pytest.mark.parametrize("path", ["/nothing", "/live/", "//live", "", "/CONFIG"])
def test_another_path_is_404(path: str) -> None:
    answer = refuse(Request("GET", path), admin_pages())
    assert answer is not None
    assert answer.status == 404


def test_the_health_server_shows_and_changes_nothing_else() -> None:
    pages = health_pages()
    assert set(pages) == {"/live", "/ready", "/metrics"}
    assert {page.methods() for page in pages.values()} == {("GET", "HEAD")}


def test_json_is_compact_for_programs_and_indented_for_people() -> None:
    answer = Answer({"a": [1, {"b": None}]})
    assert encode(answer, Request("GET", "/")) == b'{"a":[1,{"b":null}]}\n'
    for request in (
        Request("GET", "/", query={"pretty": ""}),
        Request("GET", "/", headers={"accept": "text/html,application/xml;q=0.9"}),
    ):
        text = encode(answer, request)
        assert text.count(b"\n") > 5
        assert json.loads(text) == answer.body
