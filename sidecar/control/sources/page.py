"""A file on a web server, asked for again and again: only what has changed is sent (RFC 9110, 13).

It is fetched over https, unless the URL says http.
"""

from __future__ import annotations

import hashlib
import random
from threading import Event
from typing import Final
from urllib.parse import urljoin, urlsplit

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Answer, Refused, Web, expected, is_redirect

_WITHIN: Final = 10.0
_MOST_REDIRECTS: Final = 3
_SPREAD: Final = 0.2


class Page:
    """What *web* has at *target*. *every*: seconds between two questions."""

    def __init__(
        self, name: str, web: Web, target: str, headers: dict[str, str], every: float
    ) -> None:
        self.name = name
        self._web = web
        self._target = target
        self._headers = headers
        self._every = every
        self._closed = Event()
        self._tag: dict[str, str] = {}
        self._digest = ""

    def read(self) -> Text:
        """Fetch the file."""
        answer = expected(self._ask({}), self.name)
        self._digest = _digest(answer.body)
        tag, date = answer.headers.get("etag"), answer.headers.get("last-modified")
        self._tag = {"If-None-Match": tag} if tag else {}
        if not tag and date:
            self._tag = {"If-Modified-Since": date}
        return Text(answer.body.decode("utf-8", "replace"), tag or self._digest)

    def wait(self) -> bool:
        """Ask after a while whether it is another."""
        self._closed.wait(self._every * (1 + _SPREAD * (random.random() - 0.5)))
        if self._closed.is_set():
            return False
        answer = self._ask(self._tag)
        if answer.status == 304:
            return False
        return _digest(expected(answer, self.name).body) != self._digest

    def close(self) -> None:
        """End the wait and the request under way."""
        self._closed.set()
        self._web.close()

    def _ask(self, more: dict[str, str]) -> Answer:
        """Ask; follow redirects to the same server, so that no other gets the credentials."""
        target = self._target
        for _ in range(_MOST_REDIRECTS + 1):
            headers = {"Accept": "*/*", **self._headers, **more}
            answer = self._web.ask("GET", target, seconds=_WITHIN, headers=headers)
            if not is_redirect(answer):
                return answer
            elsewhere = urlsplit(urljoin(f"//{self._web}{target}", answer.headers["location"]))
            if elsewhere.netloc != str(self._web):
                raise Refused(f"{self.name}: redirected to {elsewhere.netloc}: name that instead")
            target = elsewhere.path + (f"?{elsewhere.query}" if elsewhere.query else "")
        raise Refused(f"{self.name}: too many redirects")


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]
