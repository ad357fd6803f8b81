"""The simulated fleet as a process: started faultless, told to be faulty when the load begins."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from bench import messages, provider
from bench.contenders import SIDECAR_PYTHON
from bench.process import LOAD_CORE, Process

_START_WITHIN: Final = 10.0
_ANSWER_WITHIN: Final = 5.0


class Fleet:
    """*count* endpoints of `sidecar simulate` on free ports."""

    def __init__(self, count: int, folder: Path) -> None:
        self._log = folder / "fleet.log"
        command = [str(SIDECAR_PYTHON), "-m", "sidecar", "simulate", "--json", "--port", "0"]
        self._process = Process(
            [*command, "--endpoints", str(count)], self._log, LOAD_CORE, {"PYTHONUNBUFFERED": "1"}
        )
        try:
            self.urls = self._started(count)
        except BaseException:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.stop()

    @property
    def ports(self) -> list[int]:
        """Where the endpoints listen."""
        return [urlsplit(url).port or 0 for url in self.urls]

    def behave(self, behaviours: Sequence[str]) -> None:
        """Put one behaviour for each endpoint in force; draws and outages begin now."""
        for url, behaviour in zip(self.urls, behaviours, strict=True):
            _fetch(f"{url}/_simulate", behaviour.encode())

    def requests(self) -> int:
        """Calls that reached an endpoint so far."""
        shown = (_fetch(f"{url}/_simulate") for url in self.urls)
        return sum(json.loads(each)["counters"]["requests"] for each in shown)

    def reply(self, body: bytes) -> bytes:
        """What a faultless endpoint answers a call with *body*."""
        return _fetch(f"{self.urls[0]}{messages.PATH}", body, provider.SDK)

    def _started(self, count: int) -> list[str]:
        deadline = time.monotonic() + _START_WITHIN
        while True:
            lines = self._log.read_text().splitlines(keepends=True)
            if len(lines) == count and lines[-1].endswith("\n"):
                return [json.loads(line)["url"] for line in lines]
            if self._process.ended or time.monotonic() > deadline:
                raise SystemExit(f"the fleet does not start: {self._process.last_words()}")
            time.sleep(0.02)


def _fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers or {})
    with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN) as reply:
        content: Any = reply.read()
    return bytes(content)
