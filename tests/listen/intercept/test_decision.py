"""What becomes of a connection, by what it began with."""

import pytest

from sidecar.config.model.route import Match, Route
from sidecar.http.client_hello import ClientHello
from sidecar.http.sniff import Protocol, Sniffed
from sidecar.listen.intercept.decision import Decision, Learned, client_of, decide
from sidecar.listen.intercept.hosts import RoutedHosts

HOSTS = RoutedHosts(
    [Route(upstream="u", match=Match(host=host)) for host in ("llm.test", "10.0.0.9")]
)


def hello(*alpn: bytes, name: str | None = "llm.test", fingerprint: bytes = b"f") -> Sniffed:
    return Sniffed(Protocol.TLS, name, ClientHello(name, alpn, fingerprint))


def decided(
    seen: Sniffed | None, host: str | None = None, learned: Learned | None = None
) -> Decision:
    asked = host or (seen.host if seen else None) or "1.2.3.4"
    return decide(seen, asked, "127.0.0.1", HOSTS, learned or Learned(), 5.0)


@pytest.mark.parametrize(
    ("seen", "host", "decision"),
    [
        (hello(), None, Decision.TLS),
        (hello(b"h2", b"http/1.1"), None, Decision.TLS),
        (hello(b"http/1.1"), None, Decision.TLS),
        (hello(b"h2"), None, Decision.ONLY_H2),
        (hello(b"acme-tls/1"), None, Decision.ONLY_H2),
        (hello(name="other.test"), None, Decision.NOT_ROUTED),
        (hello(b"h2", name="other.test"), None, Decision.NOT_ROUTED),
        (hello(name=None), None, Decision.NOT_ROUTED),
        (hello(name=None), "10.0.0.9", Decision.TLS),
        (Sniffed(Protocol.HTTP, "llm.test"), None, Decision.HTTP),
        (Sniffed(Protocol.HTTP, "other.test"), None, Decision.NOT_ROUTED),
        (Sniffed(Protocol.HTTP), "llm.test", Decision.NOT_ROUTED),
        (Sniffed(Protocol.HTTP), None, Decision.NOT_ROUTED),
        (Sniffed(Protocol.OTHER), "llm.test", Decision.NOT_HTTP),
        (None, "llm.test", Decision.SILENT),
    ],
)
def test_by_what_it_says(seen: Sniffed | None, host: str | None, decision: Decision) -> None:
    assert decided(seen, host) is decision


def test_who_refused_is_passed_through_for_a_while() -> None:
    learned = Learned()
    refused = hello()
    assert refused.hello is not None
    learned.distrust.refused(client_of("127.0.0.1", "llm.test", refused.hello), 6.0)
    assert decided(refused, learned=learned) is Decision.UNTRUSTING
    assert decided(hello(fingerprint=b"g"), learned=learned) is Decision.TLS
    assert decide(refused, "llm.test", "127.0.0.2", HOSTS, learned, 5.0) is Decision.TLS
    assert decide(refused, "llm.test", "127.0.0.1", HOSTS, learned, 6.0) is Decision.TLS
