"""A key of etcd, over its JSON gateway.

Source: etcd.io, "gRPC gateway" and "Authentication" (v3.4 and later): keys and values are Base64,
numbers are strings; a watch is one reply that never ends, a JSON object a line.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final

import msgspec

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Refused, Web, expected, object_in

_WITHIN: Final = 5.0
_QUIET: Final = 60.0
"""Seconds without a line after which a watch is begun anew: a connection may have died silently."""


class Etcd:
    """The value of *key*. *login*: name and password."""

    def __init__(self, name: str, web: Web, key: str, login: tuple[str, str] | None) -> None:
        self.name = name
        self._web = web
        self._key = b64encode(key.encode()).decode()
        self._login = login
        self._token = ""
        self._next = 0
        """The revision from which on changes are not known yet."""

    def read(self) -> Text:
        """Fetch the value."""
        answer = self._ask("/v3/kv/range", {"key": self._key})
        self._next = int(answer["header"]["revision"]) + 1
        values = answer.get("kvs") or []
        if not values:
            raise Refused(f"{self.name}: there is no such key")
        text = b64decode(values[0].get("value", "")).decode("utf-8", "replace")
        return Text(text, str(values[0]["mod_revision"]))

    def wait(self) -> bool:
        """Watch from the revision that was read on."""
        wanted = {"create_request": {"key": self._key, "start_revision": str(self._next)}}
        lines = self._web.lines(
            "POST",
            "/v3/watch",
            seconds=_QUIET,
            body=msgspec.json.encode(wanted),
            headers=self._headers(),
        )
        try:
            for line in lines:
                if self._changed(line):
                    return True
        except TimeoutError:
            return False
        except Refused as error:
            self._forget_token(error)
            raise
        raise Refused(f"{self.name}: the watch ended")

    def close(self) -> None:
        """End the request under way."""
        self._web.close()

    def _changed(self, line: bytes) -> bool:
        message = object_in(line, self.name)
        if "error" in message:
            self._token = ""
            raise Refused(f"{self.name}: {message['error'].get('message', 'the watch failed')}")
        result = message.get("result", {})
        if result.get("canceled") and not int(result.get("compact_revision") or 0):
            self._token = ""
            raise Refused(f"{self.name}: {result.get('cancel_reason') or 'the watch was refused'}")
        return bool(result.get("events") or result.get("canceled"))  # compacted: read again

    def _ask(self, path: str, message: dict[str, Any]) -> Any:
        body = msgspec.json.encode(message)
        for fresh in (False, True):
            answer = self._web.ask(
                "POST", path, seconds=_WITHIN, body=body, headers=self._headers()
            )
            if answer.status != 401 or self._login is None or fresh:
                break
            self._token = ""
        return object_in(expected(answer, self.name).body, self.name)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._login is not None:
            self._token = self._token or self._authenticate(*self._login)
            headers["Authorization"] = self._token
        return headers

    def _authenticate(self, user: str, password: str) -> str:
        body = msgspec.json.encode({"name": user, "password": password})
        answer = self._web.ask("POST", "/v3/auth/authenticate", seconds=_WITHIN, body=body)
        return str(object_in(expected(answer, self.name).body, self.name)["token"])

    def _forget_token(self, error: Refused) -> None:
        if error.status == 401:
            self._token = ""
