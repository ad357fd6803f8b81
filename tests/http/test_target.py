"""Hosts and targets, as tables."""

import pytest

from sidecar.http.target import host_name, normal_host, split_absolute


@pytest.mark.parametrize(
    ("host", "normal", "name"),
    [
        (b"a", b"a", b"a"),
        (b"API.OpenAI.com:443", b"api.openai.com:443", b"api.openai.com"),
        (b"a:", b"a:", b"a"),
        (b"127.0.0.1:80", b"127.0.0.1:80", b"127.0.0.1"),
        (b"[::1]", b"[::1]", b"::1"),
        (b"[FE80::1%25eth0]:8080", b"[fe80::1%25eth0]:8080", b"fe80::1%25eth0"),
        (b"[::ffff:127.0.0.1]:1", b"[::ffff:127.0.0.1]:1", b"::ffff:127.0.0.1"),
        (b"under_score-1.x", b"under_score-1.x", b"under_score-1.x"),
        (b"a%2Db", b"a%2db", b"a%2db"),
        (b"API.example.", b"api.example", b"api.example"),
        (b"api.example.:443", b"api.example:443", b"api.example"),
        (b".", b".", b"."),
        (b"a" * 261, b"a" * 261, b"a" * 261),
    ],
)
def test_hosts(host: bytes, normal: bytes, name: bytes) -> None:
    assert normal_host(host) == normal
    assert normal_host(host) == normal  # from memory
    assert host_name(normal) == name


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b" a",
        b"a ",
        b"a b",
        b"a,b",
        b"a, a",
        b"a\n",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"u@a",
        b":80",
        b"a:b",
        b"a:-1",
        b"a:123456",
        b"a:1:2",
        b"::1",
        b"[::1",
        b"[::1]a",
        b"[]",
        b"[g::1]",
        b"a\x00",
        b"\xc3\xa9",
        b"a:\xb2",
        b"<a>",
        b"a" * 262,
    ],
)
def test_what_is_no_host(host: bytes) -> None:
    assert normal_host(host) is None


def test_more_hosts_than_are_remembered() -> None:
    for number in range(3000):
        assert normal_host(b"H%d" % number) == b"h%d" % number


@pytest.mark.parametrize(
    ("target", "host", "origin"),
    [
        (b"http://a", b"a", b"/"),
        (b"http://a/", b"a", b"/"),
        (b"HTTPS://A:1/B?c", b"A:1", b"/B?c"),
        (b"http://a?b/c", b"a", b"/?b/c"),
        (b"http://a//b", b"a", b"//b"),
        (b"http://a/b@c:d", b"a", b"/b@c:d"),
        (b"http://a/http://b/", b"a", b"/http://b/"),
    ],
)
def test_absolute_targets(target: bytes, host: bytes, origin: bytes) -> None:
    assert split_absolute(target) == (host, origin)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"*",
        b"a:80",
        b"http:/a",
        b"http:a",
        b"ftp://a/",
        b"ws://a/",
        b"xhttp://a/",
        b"http://u@a/",
        b"http://u:p@a/",
        b"http://@a",
        b"http://a/#b",
        b"http://a#b",
    ],
)
def test_what_is_no_absolute_target(target: bytes) -> None:
    assert split_absolute(target) is None


def test_a_long_one_is_refused_in_linear_time() -> None:
    assert split_absolute(b"http://" + b"a" * 2_000_000 + b"#") is None  # else this never ends
