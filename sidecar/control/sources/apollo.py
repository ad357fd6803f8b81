"""A namespace of Apollo, over the HTTP API for other languages.

Source: apolloconfig.com, "Other language client user guide": a question for notifications is held
for 60 s; a namespace of YAML or text has its text under `content`; signatures are HMAC-SHA1 over
time and path.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote, urlencode

from sidecar.control.sources.base import Text
from sidecar.control.sources.web import Answer, Refused, Web, decoded, expected, object_in

_WITHIN: Final = 5.0
_HELD: Final = 90.0
"""Seconds; longer than the server holds a question."""


class Apollo:
    """The namespace of *place*: application, cluster and namespace. *secret*: an access key."""

    def __init__(self, name: str, web: Web, place: tuple[str, str, str], secret: str) -> None:
        self.name = name
        self._web = web
        self._app, self._cluster, self._namespace = place
        self._secret = secret
        self._notification = -1
        self._messages: Any = None
        self._release = ""

    def read(self) -> Text:
        """Fetch the text that is released."""
        path = "/configs/" + "/".join(
            quote(each, safe="") for each in (self._app, self._cluster, self._namespace)
        )
        if self._messages:  # so that a server that lags asks its database
            path += "?" + urlencode({"messages": json.dumps(self._messages)})
        answer = self._ask(path, _WITHIN)
        if answer.status == 404:
            raise Refused(f"{self.name}: there is no such namespace, or it was never released")
        found = object_in(expected(answer, self.name).body, self.name)
        values = found.get("configurations") or {}
        if not isinstance(values, dict) or not isinstance(values.get("content"), str):
            raise Refused(f"{self.name}: not a namespace of type yaml or txt")
        self._release = str(found.get("releaseKey") or "")
        return Text(values["content"], self._release)

    def wait(self) -> bool:
        """Ask for notifications after the last one."""
        known = [{"namespaceName": self._namespace, "notificationId": self._notification}]
        query = {"appId": self._app, "cluster": self._cluster, "notifications": json.dumps(known)}
        answer = self._ask(f"/notifications/v2?{urlencode(query)}", _HELD)
        if answer.status == 304:
            return False
        first = self._notification < 0
        for each in decoded(expected(answer, self.name).body) or ():
            self._notification = int(each["notificationId"])
            self._messages = each.get("messages")
        # The first answer only tells where notifications begin, which is after `read`, or before.
        return not first or self._other_release()

    def close(self) -> None:
        """End the request under way."""
        self._web.close()

    def _other_release(self) -> bool:
        before = self._release
        self.read()
        now, self._release = self._release, before
        return now != before

    def _ask(self, path: str, seconds: float) -> Answer:
        headers = {}
        if self._secret:
            stamp = str(int(time.time() * 1000))
            signed = hmac.digest(self._secret.encode(), f"{stamp}\n{path}".encode(), "sha1")
            headers = {
                "Authorization": f"Apollo {self._app}:{b64encode(signed).decode()}",
                "Timestamp": stamp,
            }
        return self._web.ask("GET", path, seconds=seconds, headers=headers)
