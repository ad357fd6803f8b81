from __future__ import annotations

import json

import pytest

from sidecar.control.pages import (
    Answer,
    Request,
    admin_pages,
    encode,
    health_pages,
    refuse,
    refuse_strangers,
)

CHANGES = ["/log-level", "/drain", "/quit"]
READS = ["/", "/ready", "/live", "/metrics", "/config", "/upstreams", "/routes", "/connections"]


def headers(host: str = "127.0.0.1:14010", **others: str) -> dict[str, str]:
    return {"host": host} | {name.replace("_", "-"): value for name, value in others.items()}


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


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:14010", "127.0.0.1", "127.9.9.9:1", "localhost:14010", "LOCALHOST", "[::1]:14010"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_loopback_names_are_welcome(host: str, method: str) -> None:
    assert refuse_strangers(Request(method, "/", headers=headers(host))) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example:14010",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil.example@127.0.0.1.example",
        "10.0.0.7:14010",
        "0.0.0.0:14010",
        "[::]:14010",
        "[::1",
        "[fe80::1%lo]:14010",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_rebound_names_are_refused(host: str, method: str) -> None:
    answer = refuse_strangers(Request(method, "/", headers=headers(host)))
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"origin": "http://127.0.0.1:14010", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
def test_changes_from_here_are_taken(others: dict[str, str]) -> None:
    assert refuse_strangers(Request("POST", "/quit", headers=headers(**others))) is None


@pytest.mark.parametrize(
    "others",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},  # another program's page on this machine
        {"origin": "http://localhost:14010"},
        {"origin": "http://127.0.0.1:14010", "sec_fetch_site": "cross-site"},
    ],
)
def test_changes_from_another_site_are_refused(others: dict[str, str]) -> None:
    answer = refuse_strangers(Request("POST", "/quit", headers=headers(**others)))
    assert answer is not None
    assert answer.status == 403


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
