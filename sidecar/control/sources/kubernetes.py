"""A key of a ConfigMap, watched through the API server as the pod's service account.

Unlike a mounted ConfigMap, which the kubelet copies within a minute or so, a change serves at once.
Source: kubernetes.io, "Kubernetes API Concepts" (watches, 410 Gone) and "Accessing the Kubernetes
API from a Pod".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Refused, Web, expected, object_in

_WITHIN: Final = 5.0
_WATCHED: Final = 50
"""Seconds of one watch, so that a connection that died silently is soon noticed."""
_QUIET: Final = 60.0


class ConfigMap:
    """The value of *key* in the ConfigMap *name* of *namespace*. *token* reads the bearer token,
    which is another every hour."""

    def __init__(
        self, name: str, web: Web, place: tuple[str, str, str], token: Callable[[], str]
    ) -> None:
        """*place*: namespace, ConfigMap and key."""
        self.name = name
        self._web = web
        namespace, self._map, self._key = place
        self._path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps"
        self._token = token
        self._version = ""
        self._text: str | None = None

    def read(self) -> Text:
        """Fetch the value."""
        target = f"{self._path}/{quote(self._map, safe='')}"
        answer = self._web.ask("GET", target, seconds=_WITHIN, headers=self._headers())
        found = object_in(expected(answer, self.name).body, self.name)
        self._text = _value(found, self._key)
        self._version = str(found["metadata"]["resourceVersion"])
        if self._text is None:
            raise Refused(f"{self.name}: the ConfigMap has no such key")
        return Text(self._text, self._version)

    def wait(self) -> bool:
        """Watch from the version that was read on."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._map}",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_WATCHED),
            "allowWatchBookmarks": "true",
        }
        target = f"{self._path}?{urlencode(query)}"
        for line in self._web.lines("GET", target, seconds=_QUIET, headers=self._headers()):
            event = object_in(line, self.name)
            found = event.get("object") or {}
            if event.get("type") == "ERROR":  # 410: the version is too old to be watched from
                return True
            self._version = str(found["metadata"]["resourceVersion"])
            if event.get("type") != "BOOKMARK" and _value(found, self._key) != self._text:
                return True
        return False

    def close(self) -> None:
        """End the request under way."""
        self._web.close()

    def _headers(self) -> dict[str, str]:
        token = self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}


def _value(found: Any, key: str) -> str | None:
    value = (found.get("data") or {}).get(key)
    return value if isinstance(value, str) else None
