"""Tokens that a real API server has issued, checked offline with the keys that it publishes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from chart import ROOT
from cluster import Cluster, free_port, process, until

SIDECAR = str(ROOT / ".venv" / "bin" / "sidecar")
AUDIENCE = "llm-sidecar"


class Provider(ThreadingHTTPServer):
    """Keeps the header fields of what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[dict[str, str]] = []
        Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.seen.append({key.lower(): value for key, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.shutdown()
    server.server_close()


def config(folder: Path, cluster: Cluster, port: int, upstream: int) -> Path:
    """Keys and issuer are what the API server says of itself."""
    (folder / "jwks.json").write_text(cluster.ok("kubectl", "get", "--raw", "/openid/v1/jwks"))
    said = cluster.ok("kubectl", "get", "--raw", "/.well-known/openid-configuration")
    tokens = {
        "keys": "jwks.json",
        "issuer": json.loads(said)["issuer"],
        "audiences": [AUDIENCE],
        "allow": ["system:serviceaccount:callers:*"],
    }
    tree: dict[str, Any] = {
        "listeners": [{"address": f"127.0.0.1:{port}", "access": {"tokens": tokens}}],
        "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{upstream}"}]}},
        "routes": [{"upstream": "u"}],
        "admin": {"address": None},
        "access_log": {"path": str(folder / "calls.log")},
    }
    file = folder / "sidecar.yaml"
    file.write_text(json.dumps(tree))
    return file


def asked(port: int, token: str) -> tuple[int, str]:
    """Status, and what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {token}"})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, json.loads(body)["error"]["message"] if body else ""


def test_a_pods_token_tells_who_calls(
    api_server: Cluster, provider: Provider, tmp_path: Path
) -> None:
    api_server.namespace("callers")
    api_server.account("callers", "billing")
    api_server.namespace("others")

    def token(name: str, *more: str, namespace: str = "callers") -> str:
        return api_server.ok("kubectl", "create", "token", name, "-n", namespace, *more).strip()

    port = free_port()
    file = config(tmp_path, api_server, port, provider.server_address[1])
    with process(tmp_path / "log", [SIDECAR, "run", "-c", str(file)]):
        good = token("billing", "--audience", AUDIENCE)
        until(lambda: asked(port, good)[0] == 200, "the sidecar serves")
        log = tmp_path / "calls.log"
        until(lambda: log.exists() and log.read_text(), "the call is logged")
        assert json.loads(log.read_text().splitlines()[-1])["team"] == (
            "system:serviceaccount:callers:billing"
        )
        assert "authorization" not in provider.seen[-1]
        for bad, status, told in (
            (token("billing"), 401, "for another audience"),  # the API server's own
            (token("default", "--audience", AUDIENCE, namespace="others"), 403, "may not call"),
            (good[:-8] + "AAAAAAAA", 401, "signature is wrong"),
            ("administrator", 401, "expected a token"),
        ):
            got, message = asked(port, bad)
            assert (got, told in message) == (status, True), message
