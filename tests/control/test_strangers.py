from __future__ import annotations

import pytest

from sidecar.control.answers import Answer, Request
from sidecar.control.pages import admin_pages
from sidecar.control.strangers import new_token, refuse_other_sites, refuse_strangers

TOKEN = new_token()
HERE = {"origin": "http://127.0.0.1:14010", "sec_fetch_site": "same-origin"}
CHANGES = sorted(path for path, page in admin_pages().items() if page.post)


def headers(host: str = "127.0.0.1:14010", **others: str) -> dict[str, str]:
    return {"host": host} | {name.replace("_", "-"): value for name, value in others.items()}


def change(**others: str) -> Answer | None:
    return refuse_strangers(Request("POST", "/quit", headers=headers(**others)), TOKEN)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:14010", "127.0.0.1", "127.9.9.9:1", "localhost:14010", "LOCALHOST", "[::1]:14010"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_loopback_names_are_welcome(host: str, method: str) -> None:
    assert refuse_strangers(Request(method, "/", headers=headers(host)), TOKEN) is None


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
    answer = refuse_strangers(Request(method, "/", headers=headers(host)), TOKEN)
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize(
    "others",
    [
        {},
        {**HERE, "x_sidecar_token": TOKEN},
        {"sec_fetch_site": "none", "x_sidecar_token": TOKEN},
    ],
)
def test_changes_from_here_are_taken(others: dict[str, str]) -> None:
    assert change(**others) is None


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
    answer = change(**others)
    assert answer is not None
    assert answer.status == 403


def code(answer: Answer | None) -> str:
    assert answer is not None
    assert answer.status == 403
    found: str = answer.body["error"]["code"]
    return found


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    ("host", "others", "expected"),
    [
        ("127.0.0.1:14010", {}, "no_token"),
        ("127.0.0.1:14010", {"x_sidecar_token": ""}, "no_token"),
        ("127.0.0.1:14010", {"x_sidecar_token": TOKEN[:-1]}, "no_token"),
        ("127.0.0.1:14010", {"x_sidecar_token": f"{TOKEN}x"}, "no_token"),
        ("127.0.0.1:14010", {"x_sidecar_token": new_token()}, "no_token"),
        ("127.0.0.1:14010", {"x_sidecar_token": TOKEN, "origin": "https://e.test"}, "cross_site"),
        ("127.0.0.1:14010", {"x_sidecar_token": TOKEN, "origin": "null"}, "cross_site"),
        ("127.0.0.1:14010", {"x_sidecar_token": TOKEN, "sec_fetch_site": "none"}, ""),
        (
            "127.0.0.1:14010",
            {"x_sidecar_token": TOKEN, "sec_fetch_site": "same-site"},
            "cross_site",
        ),
        ("evil.example", {"x_sidecar_token": TOKEN}, "forbidden_host"),
        ("127.0.0.1.nip.io:14010", {"x_sidecar_token": TOKEN}, "forbidden_host"),
        ("localhost:14010", {"x_sidecar_token": TOKEN}, "cross_site"),  # the origin is another
        ("127.0.0.1:14010", {"x_sidecar_token": TOKEN}, ""),
    ],
)
def test_a_browser_changes_something_only_from_our_page(
    path: str, host: str, others: dict[str, str], expected: str
) -> None:
    asked = Request("POST", path, headers=headers(host, **HERE | others))
    refused = refuse_strangers(asked, TOKEN)
    assert (code(refused) if refused else "") == expected


@pytest.mark.parametrize("name", ["origin", "sec_fetch_site"])
def test_each_header_of_a_browser_shows_that_it_is_one(name: str) -> None:
    assert code(change(**{name: HERE[name]})) == "no_token"


def test_programs_in_javascript_are_no_browsers() -> None:
    assert change(sec_fetch_mode="cors", user_agent="node") is None


def test_tokens_are_not_guessed() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32


VISIT = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({}, False),
        ({"origin": "http://127.0.0.1:14010"}, False),
        ({"origin": "https://evil.example"}, True),  # an EventSource of an older browser
        ({"origin": "null"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_sites_get_nothing(method: str, sent: dict[str, str], refused: bool) -> None:
    asked = Request(method, "/interception", headers=headers(**sent))
    assert (refuse_other_sites(asked) is not None) is refused
    assert (refuse_strangers(asked, TOKEN) is not None) is refused


@pytest.mark.parametrize("dest", ["document", "iframe", "image", "empty"])
def test_a_link_from_another_site_may_be_followed_but_not_framed(dest: str) -> None:
    sent = headers(sec_fetch_site="cross-site", **VISIT | {"sec_fetch_dest": dest})
    for path, refused in (("/config", dest != "document"), ("/quit", True)):
        method = "GET" if path == "/config" else "POST"
        asked = Request(method, path, headers=sent)
        assert (refuse_strangers(asked, TOKEN) is not None) is refused
    assert refuse_other_sites(Request("GET", "/events", headers=sent)) is not None
