"""A configuration in Nacos, over its HTTP APIs: version 3's client API, else version 1's.

Source: nacos.io, "Open API" (1.x, 2.x) and "Client HTTP API" (3.x). Version 1 has a listener that
holds a question until the MD5 differs; version 3 has none over HTTP, so it is asked again and
again, and compared.
"""

from __future__ import annotations

import random
import time
from hashlib import md5
from threading import Event
from typing import Any, Final
from urllib.parse import urlencode

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Answer, Refused, Web, decoded, expected

_WITHIN: Final = 5.0
_HELD: Final = 30.0
"""Seconds that the listener holds a question."""
_EVERY: Final = 5.0
"""Seconds between questions to version 3, about."""
_RENEW: Final = 0.8
"""Share of a token's life after which another is fetched."""
_ABSENT: Final = frozenset({400, 403, 404, 405, 410, 501})
"""What servers without a version's API answer to it."""


class Nacos:
    """The configuration *data_id* in *group* of the namespace *tenant*."""

    def __init__(
        self,
        name: str,
        web: Web,
        place: tuple[str, str, str],
        login: tuple[str, str] | None,
    ) -> None:
        """*place*: namespace, group and data id."""
        self.name = name
        self._web = web
        self._tenant, self._group, self._data_id = place
        self._login = login
        self._token, self._until = "", 0.0
        self._version = 0
        """Of the API; 0 until it is known."""
        self._md5 = ""
        self._closed = Event()

    def read(self) -> Text:
        """Fetch the text."""
        text = None
        if self._version in (0, 3):
            text = self._read_3()
        if text is None and self._version != 3:
            text = self._read_1()
        if text is None:
            raise Refused(f"{self.name}: there is no such configuration")
        self._md5 = _digest(text)
        return Text(text, self._md5[:12])

    def wait(self) -> bool:
        """Ask the listener, or after a while for the text."""
        if self._version == 1:
            return self._listen()
        self._closed.wait(_EVERY * random.uniform(0.8, 1.2))
        if self._closed.is_set():
            return False
        text = self._read_3()
        return text is None or _digest(text) != self._md5

    def close(self) -> None:
        """End the wait and the request under way."""
        self._closed.set()
        self._web.close()

    def _read_3(self) -> str | None:
        """None: this server does not know version 3, or has no such configuration."""
        query = {"groupName": self._group, "dataId": self._data_id, "namespaceId": self._tenant}
        answer = self._ask("GET", "/nacos/v3/client/cs/config", query)
        found = _object(answer.body)
        data = found.get("data")
        if answer.status == 200 and isinstance(data, dict) and "content" in data:
            self._version = 3
            return str(data["content"])
        if self._version == 0 and answer.status in _ABSENT:
            return None
        if found.get("code") == 20004:  # resource not found
            return None
        expected(answer, self.name)
        raise Refused(f"{self.name}: {found.get('message') or 'not an answer of Nacos'}")

    def _read_1(self) -> str | None:
        query = {"dataId": self._data_id, "group": self._group, "tenant": self._tenant}
        answer = self._ask("GET", "/nacos/v1/cs/configs", query)
        if answer.status == 404:
            return None
        text = expected(answer, self.name).body.decode("utf-8", "replace")
        self._version = 1
        return text

    def _listen(self) -> bool:
        fields = [self._data_id, self._group, self._md5, *([self._tenant] if self._tenant else [])]
        form = urlencode({"Listening-Configs": "\x02".join(fields) + "\x01"})
        headers = {
            "Long-Pulling-Timeout": str(int(_HELD * 1000)),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer = self._ask(
            "POST", "/nacos/v1/cs/configs/listener", {}, form.encode(), headers, _HELD * 1.5
        )
        return bool(expected(answer, self.name).body.strip())

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = _WITHIN,
    ) -> Answer:
        if self._login is not None:
            query = {**query, "accessToken": self._access_token(*self._login)}
        target = f"{path}?{urlencode(query)}" if query else path
        answer = self._web.ask(method, target, seconds=seconds, body=body, headers=headers)
        if answer.status in (401, 403):
            self._token = ""
        return answer

    def _access_token(self, user: str, password: str) -> str:
        if self._token and time.monotonic() < self._until:
            return self._token
        form = urlencode({"username": user, "password": password}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for path in ("/nacos/v3/auth/user/login", "/nacos/v1/auth/login"):
            answer = self._web.ask("POST", path, seconds=_WITHIN, body=form, headers=headers)
            found = _object(answer.body)
            found = found["data"] if isinstance(found.get("data"), dict) else found
            if answer.status == 200 and found.get("accessToken"):
                life = float(found.get("tokenTtl") or 60.0)
                self._token, self._until = (
                    str(found["accessToken"]),
                    time.monotonic() + life * _RENEW,
                )
                return self._token
        raise Refused(f"{self.name}: the login was refused ({answer.status})")


def _digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _object(data: bytes) -> dict[str, Any]:
    """Return *data* as a JSON object; an empty one where another version answers in text."""
    found = decoded(data)
    return found if isinstance(found, dict) else {}
