"""The few calls to the API server that rotation needs, as the pod's service account."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

Tree = dict[str, Any]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts token, CA and namespace (Kubernetes, Accessing the API from a Pod)."""
_WITHIN: Final = aiohttp.ClientTimeout(total=10)


class ApiError(Exception):
    """The API server said no, or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API server as *folder* and the environment of a pod name it."""

    def __init__(self, folder: Path = SERVICE_ACCOUNT) -> None:
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        self._base = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._folder = folder
        self._session: aiohttp.ClientSession | None = None

    def namespace(self) -> str:
        """The pod's own. Raise OSError where there is no service account."""
        return (self._folder / "namespace").read_text(encoding="utf-8").strip()

    async def get(self, path: str) -> Tree:
        """Read an object."""
        return await self._ask("GET", path)

    async def put(self, path: str, body: Tree) -> Tree:
        """Replace an object, if it is still the one that was read: its resourceVersion says so."""
        return await self._ask("PUT", path, body, "application/json")

    async def patch(self, path: str, steps: list[Tree]) -> Tree:
        """Change an object by a JSON patch."""
        return await self._ask("PATCH", path, steps, "application/json-patch+json")

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, path: str, body: object = None, content_type: str = ""
    ) -> Tree:
        try:
            # The token is another one every hour.
            token = (self._folder / "token").read_text(encoding="utf-8").strip()
            headers = {"Authorization": f"Bearer {token}"}
            if content_type:
                headers["Content-Type"] = content_type
            data = msgspec.json.encode(body) if body is not None else None
            url = f"{self._base}{path}"
            async with self._open().request(method, url, data=data, headers=headers) as reply:
                read = await reply.read()
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, f"{method} {path}: {error or type(error).__name__}") from error
        if reply.status >= 300:
            raise ApiError(reply.status, f"{method} {path}: {reply.status} {_message(read)}")
        return msgspec.json.decode(read, type=Tree)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trust = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
            trust.hostname_checks_common_name = False
            connector = aiohttp.TCPConnector(ssl=trust)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_WITHIN)
        return self._session


def _message(body: bytes) -> str:
    """The message of a Status, or what else there is."""
    try:
        return str(msgspec.json.decode(body, type=Tree).get("message", ""))
    except (msgspec.DecodeError, UnicodeError):
        return body[:200].decode("latin-1")
