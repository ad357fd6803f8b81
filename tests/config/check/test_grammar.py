from collections.abc import Callable

import pytest

from sidecar.config.check import addresses, grammar, urls
from sidecar.config.check.addresses import Address, parse_address

GOOD: dict[Callable[[str], str | None], list[str]] = {
    addresses.address: [
        "127.0.0.1:14001", "[::1]:14001", "localhost:0", "0.0.0.0:65535", "[::]:80", "my_pod:1",
    ],
    addresses.loopback: ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"],
    urls.url: [
        "https://api.openai.com", "http://glm-0:8000", "http://[::1]:8000/base", "http://10.0.0.1/v1/",
        "https://{resource}.openai.azure.com", "https://{region}-aiplatform.googleapis.com/{x}/y",
        "HTTP://x".lower(), "https://API.x.com", "http://svc.ns.svc.cluster.local.:80",
    ],
    urls.dns_url: ["http://glm.models.svc:8000"],
    grammar.header_name: ["authorization", "X-Api-Key", "x_y"],
    grammar.credential_header: ["authorization", "x-api-key"],
    grammar.shown_header: ["x-team", "X-Cost-Center"],
    grammar.header_value: ["x", "Bearer abc", "a\tb"],
    grammar.header_pattern: ["*", "a?c*"],
    urls.host_pattern: [
        "api.openai.com", "*.x.com", "{resource}.openai.azure.com", "localhost", "10.0.0.1",
        "{region}-aiplatform.googleapis.com", "bedrock-runtime.{region}.amazonaws.com", "[::1]",
    ],
    urls.path_prefix: ["/", "/v1", "/v1/", "/azure/{resource}/", "/a%20b", "/v1/models:x"],
    urls.rewrite: ["/", "/v1/"],
    grammar.method: ["POST", "PURGE", "x-custom"],
    addresses.server_name: ["api.openai.com", "10.0.0.1", "::1", "localhost"],
    grammar.socket_path: ["/run/s.sock", "s.sock", "x" * 107],
    grammar.pattern: ["*", "glm-?", "org/model:7b", "[x]"],
    grammar.positive: ["1ms", "0.1s", "10B", "nonsense", "0"],
    grammar.file_path: ["-", "/x"],
    addresses.network: ["10.0.0.0/8", "fd00::/8", "127.0.0.1", "::1"],
    urls.network_or_host: ["10.0.0.0/8", "::1", "db.local", "*.internal", "localhost"],
}  # fmt: skip
BAD: dict[Callable[[str], str | None], list[str]] = {
    addresses.network: [
        "", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "db.local", "[::1]", "fe80::1%lo",
    ],
    urls.network_or_host: [
        "", "10.0.0.1/8", "300.1.1.1", "{a}.x", "*", "a b", "Db.local", "x:80", "10.0.0.0/33",
    ],
    addresses.address: [
        "", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:٣", "::1:80", "[::1]",
        "[::1%lo]:80", "300.0.0.1:80", "a b:80", "http://x:80", "x:80\n", "[127.0.0.1]:80", "x]:1",
    ],
    addresses.loopback: ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.com:1", "nonsense"],
    urls.url: [
        "", "api.openai.com", "ftp://x", "https://", "https:///v1", "https://x:0", "https://x:65536",
        "https://x:", "https://x:y", "https://u:p@x", "https://u@x", "https://x/?q=1", "https://x#f",
        "https://x/a b", "https://x/../y", "https://x//y", "https://x/%2E./y", "https://x/..%2fy",
        "https://{a}{b}.x", "https://{A}.x",
        "https://{a.x", "https://x\n", "https://x/\r\n", "https://[::1", "https://[x]:1",
        "https://x:{port}", "https://-x", "https://x..y", "https://ex%61mple.com",
    ],
    urls.dns_url: ["http://{name}:8000", "nonsense"],
    grammar.header_name: ["", "a b", "a:", "ä", "a\n", "a\r\nb"],
    grammar.credential_header: ["Host", "content-length", "Transfer-Encoding", "connection", ""],
    grammar.shown_header: ["", "a b", "ä", "Authorization", "x-api-key", "openai-project"],
    grammar.header_value: ["", " x", "x ", "a\nb", "a\r\nb: c", "a\0b", "é", "a\x7fb", "x\n"],
    grammar.header_pattern: ["", "a\nb", "x" * 257],
    urls.host_pattern: [
        "", "API.x.com", "https://x.com", "x.com:80", "*", "*.", "a.*.com", "*x.com", "{a}{b}.x",
        "{A}.x", "{a", "x.com.", "*.x.com.", "a/b", "a b", "300.1.1.1",
    ],
    urls.path_prefix: [
        "", "v1", "/a b", "/a?b", "/a#b", "/a//b", "/a/../b", "/./a", "/x{a}", "/{a}{b}", "/{A}",
        "/{", "/%zz", "/ä", "/a\n",
    ],
    urls.rewrite: ["", "v1", "/{a}", "/a?b"],
    grammar.method: ["", "post", "Get", "A B", "POST\n"],
    addresses.server_name: ["", "a b", "*.x.com", "x:80", "https://x"],
    grammar.socket_path: ["", "a\0b", "x" * 108, "é" * 54],
    grammar.pattern: ["", "a\nb", "x" * 257],
    grammar.positive: ["0s", "0.0ms", "00B"],
    grammar.file_path: ["", "a\0b"],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, texts in GOOD.items() for t in texts])
def test_good(rule: Callable[[str], str | None], text: str) -> None:
    assert rule(text) is None


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, texts in BAD.items() for t in texts])
def test_bad(rule: Callable[[str], str | None], text: str) -> None:
    assert rule(text)


def test_every_rule_has_good_and_bad_examples() -> None:
    assert GOOD.keys() == BAD.keys()


def test_addresses_in_one_spelling() -> None:
    assert parse_address("[0:0::1]:80") == parse_address("[::1]:80") == Address("::1", 80)
    assert parse_address("LocalHost:1") == Address("localhost", 1)
