"""A key of Consul's store, read by blocking queries.

Source: developer.hashicorp.com, "Blocking queries" and "KV store": a query with `index` is held
until the index is higher, which need not mean that our key has changed; where it goes back, it
begins anew.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Answer, Refused, Web, expected

_WITHIN: Final = 5.0
_WAIT: Final = 60
"""Seconds that a query is held. The server adds up to a sixteenth of it at random."""


class Consul:
    """The value of *key*. *token*: an ACL token."""

    def __init__(self, name: str, web: Web, key: str, token: str, datacentre: str = "") -> None:
        self.name = name
        self._web = web
        self._target = f"/v1/kv/{quote(key)}"
        self._headers = {"X-Consul-Token": token} if token else {}
        self._query = {"raw": "true"} | ({"dc": datacentre} if datacentre else {})
        self._index = 0
        self._text = b""

    def read(self) -> Text:
        """Fetch the value."""
        answer = self._ask({}, _WITHIN)
        if answer.status == 404:
            raise Refused(f"{self.name}: there is no such key")
        self._note(answer)
        self._text = answer.body
        return Text(answer.body.decode("utf-8", "replace"), str(self._index))

    def wait(self) -> bool:
        """Ask for the value after the index that was read."""
        held = {"index": str(max(1, self._index)), "wait": f"{_WAIT}s"}
        answer = self._ask(held, _WAIT * 1.25)
        self._note(answer)
        return answer.status == 404 or answer.body != self._text

    def close(self) -> None:
        """End the request under way."""
        self._web.close()

    def _ask(self, more: dict[str, str], seconds: float) -> Answer:
        target = f"{self._target}?{urlencode(self._query | more)}"
        answer = self._web.ask("GET", target, seconds=seconds, headers=self._headers)
        return answer if answer.status == 404 else expected(answer, self.name)

    def _note(self, answer: Answer) -> None:
        index = answer.headers.get("x-consul-index", "")
        new = int(index) if index.isdigit() else 0
        self._index = 0 if new < self._index else new
