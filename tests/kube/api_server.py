"""A few objects behind TLS and a token, with resource versions: all that rotation asks for.

`make test-kube` runs the same against a real one.
"""

from __future__ import annotations

import copy
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from sidecar.kube.api import Api

Tree = dict[str, Any]

SECRET = "/api/v1/namespaces/ns/secrets/certs"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/injector"
VALIDATING = CONFIGURATION.replace("mutating", "validating")


class ApiServer:
    def __init__(self) -> None:
        self.objects: dict[str, Tree] = {
            SECRET: {"metadata": {"name": "certs", "resourceVersion": "1"}},
            CONFIGURATION: {
                "metadata": {"name": "injector", "resourceVersion": "1"},
                "webhooks": [
                    {"name": "a", "clientConfig": {"service": {"name": "injector"}}},
                    {"name": "b", "clientConfig": {"service": {"name": "injector"}}},
                ],
            },
            VALIDATING: {
                "metadata": {"name": "injector", "resourceVersion": "1"},
                "webhooks": [{"name": "c", "clientConfig": {"service": {"name": "injector"}}}],
            },
        }
        self.token = "first"
        self.writes: list[str] = []
        self.before_write: Callable[[], None] = lambda: None

    def bundles(self, configuration: str = CONFIGURATION) -> list[str]:
        webhooks = self.objects[configuration]["webhooks"]
        return [webhook["clientConfig"].get("caBundle", "") for webhook in webhooks]

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "message": "who are you"}, status=401)
        if request.path not in self.objects:
            return web.json_response({"kind": "Status", "message": "not found"}, status=404)
        if request.method == "GET":
            return web.json_response(self.objects[request.path])
        body = await request.json()
        self.before_write()
        new = (self._put if request.method == "PUT" else self._patch)(request.path, body)
        if new is None:
            return web.json_response({"kind": "Status", "message": "changed"}, status=409)
        version = int(self.objects[request.path]["metadata"]["resourceVersion"])
        new["metadata"]["resourceVersion"] = str(version + 1)
        self.objects[request.path] = new
        self.writes.append(request.path)
        return web.json_response(new)

    def _put(self, path: str, body: Any) -> Tree | None:
        now = self.objects[path]["metadata"]["resourceVersion"]
        return body if body["metadata"]["resourceVersion"] == now else None

    def _patch(self, path: str, steps: Any) -> Tree | None:
        made = copy.deepcopy(self.objects[path])
        for step in steps:
            _, _, index, *rest = step["path"].split("/")
            webhook = made["webhooks"][int(index)]
            if step["op"] == "test":
                if webhook[rest[0]] != step["value"]:
                    return None
            else:
                webhook[rest[0]][rest[1]] = step["value"]
        return made


@asynccontextmanager
async def api_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ApiServer, Api]]:
    """One that serves, and a client as a pod would have it."""
    server, ca = ApiServer(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(runner.addresses[0][1]))
    folder.joinpath("token").write_text("first\n")
    folder.joinpath("namespace").write_text("ns")
    ca.cert_pem.write_to_path(folder / "ca.crt")
    api = Api(folder)
    try:
        yield server, api
    finally:
        await api.close()
        await runner.cleanup()
