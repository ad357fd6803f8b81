"""Doubts about upstreams: URLs, TLS, checks and pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sidecar.config.check.addresses import parse_address
from sidecar.config.check.doubts.whole import Whole
from sidecar.config.model import Config, Tracing, Upstream
from sidecar.config.problems import Path, Problem

_GRPC: Final = 4317
"""OTLP's other port."""
_OPERATIONS: Final = ("/chat/completions", "/completions", "/embeddings", "/messages", "/responses")
_PROVIDERS: Final = (
    ".openai.com", ".openai.azure.com", ".anthropic.com", ".googleapis.com", ".mistral.ai",
    ".groq.com", ".cohere.com", ".deepseek.com", ".x.ai", ".together.xyz", ".openrouter.ai",
    ".fireworks.ai", ".amazonaws.com",
)  # fmt: skip
_DIALECTS: Final = {
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.cohere.com": "cohere",
}
"""By host: the dialect of the provider's own API."""
_PORTS: Final = {"http": 443, "https": 80}
"""By scheme: the port of the other one."""
_HERE: Final = ("127.0.0.1", "localhost", "::1")


def of_upstreams(whole: Whole) -> Iterator[Problem]:
    """Find what is doubtful about each upstream by itself."""
    own = _own_ports(whole.config)
    for name, upstream in whole.config.upstreams.items():
        path = ("upstreams", name)
        yield from _urls(path, upstream, own)
        yield from _idle_tls(path, upstream)
        yield from _checks(path, upstream)
        if "dialect" not in whole.written["upstreams"][name]:
            yield from _dialect(path, upstream)
        if upstream.pool.max_idle > upstream.pool.max_open and "max_idle" in _pool(whole, name):
            told = "more than `max_open`: no more than that are ever open. Lower it"
            yield Problem((*path, "pool", "max_idle"), told)
    yield from _collector(whole.config.tracing)


def _pool(whole: Whole, name: str) -> dict[str, object]:
    pool: dict[str, object] = whole.written["upstreams"][name].get("pool", {})
    return pool


def _own_ports(config: Config) -> set[int]:
    """Return the ports of this machine at which the sidecar itself listens for calls."""
    addresses = [parse_address(each.address or "") for each in config.listeners]
    return {each.port for each in addresses if each is not None and each.port}


def _urls(path: Path, upstream: Upstream, own: set[int]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, endpoint in enumerate(upstream.endpoints):
        kind = "url" if endpoint.url else "dns"
        url = urlsplit(endpoint.url or endpoint.dns or "")
        where = (*path, "endpoints", index, kind)
        if told := _url(url, own):
            yield Problem(where, told)
        plain = f"{kind} {url.geturl().rstrip('/').lower()}"
        if plain in seen:
            yield Problem(
                where, f"the same as endpoint {seen[plain]}: give one of them a larger `weight`"
            )
        seen.setdefault(plain, index)


def _url(url: SplitResult, own: set[int]) -> str | None:
    host, base = url.hostname or "", url.path.rstrip("/")
    port = url.port if "{" not in url.netloc else None
    if port is not None and port == _PORTS[url.scheme]:
        other = "https" if url.scheme == "http" else "http"
        return f"{port} is the port of {other}: change the port, or the scheme"
    if url.scheme == "http" and f".{host}".endswith(_PROVIDERS):
        return "keys and prompts go there without encryption: write https://"
    if host in _HERE and port in own:
        return "is a listener of this sidecar: calls would go round and round. Name the server"
    for operation in _OPERATIONS:
        if base.endswith(operation):
            return (
                f"ends in the path of one operation, and calls have theirs after it: leave "
                f"{operation} out"
            )
    return None


def _idle_tls(path: Path, upstream: Upstream) -> Iterator[Problem]:
    tls = upstream.tls
    given = (tls.ca, tls.cert, tls.server_name) != (None, None, None)
    if given and not any(url.startswith("https:") for url in upstream.urls):
        yield Problem((*path, "tls"), "has no effect: no endpoint is https. Write https:// there")


def _checks(path: Path, upstream: Upstream) -> Iterator[Problem]:
    """Find checks of providers, which have no such page."""
    hosts = [urlsplit(url).hostname or "" for url in upstream.urls]
    if not any(f".{host}".endswith(_PROVIDERS) for host in hosts):
        return
    health, load = upstream.health, upstream.load
    if health is not None and not health.tcp and health.path in ("/health", "/healthz"):
        yield Problem(
            (*path, "health"),
            "providers have no such page, and every check would fail: leave `health` out (calls "
            "themselves tell how an endpoint is), or say `tcp: true`",
        )
    if load is not None and load.path == "/metrics":
        told = "providers do not tell their load: leave `load` out"
        yield Problem((*path, "load"), told)


def _dialect(path: Path, upstream: Upstream) -> Iterator[Problem]:
    """Find providers with an API of their own, which is not the one that is assumed."""
    for url in upstream.urls:
        dialect = _DIALECTS.get(urlsplit(url).hostname or "")
        if dialect is not None:
            told = (
                f"is read as OpenAI's API, which is not this provider's own: say `dialect: "
                f"{dialect}`, or `dialect: openai` if callers speak that to it"
            )
            yield Problem(path, told)
            return


def _collector(tracing: Tracing) -> Iterator[Problem]:
    tls, url = tracing.tls, tracing.endpoint
    if url is None:
        if tracing != Tracing():
            told = "has no effect: there is no `endpoint`, as http://127.0.0.1:4318"
            yield Problem(("tracing",), told)
        return
    if urlsplit(url).port == _GRPC:
        wrong = "4317 is the port of OTLP over gRPC; over HTTP it is 4318"
        yield Problem(("tracing", "endpoint"), wrong)
    given = (tls.ca, tls.cert, tls.server_name) != (None, None, None)
    if given and not url.startswith("https:"):
        told = "has no effect: `endpoint` is not https. Write https:// there"
        yield Problem(("tracing", "tls"), told)
