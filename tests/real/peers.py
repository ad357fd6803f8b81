"""Where a test finds the sidecar and what stands behind it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import scripted


@dataclass(frozen=True)
class Sidecar:
    """The sidecar under test."""

    port: int
    socket: Path
    admin: int
    log: Path
    """Its access log, a JSON line for each call."""

    def url(self, path: str = "") -> str:
        """Address of *path* at its TCP listener."""
        return f"http://127.0.0.1:{self.port}{path}"

    def states(self) -> list[str]:
        """What each connection is doing: `idle`, `call` or `tunnel`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/connections") as reply:
            return [connection["state"] for connection in json.load(reply)]


@dataclass(frozen=True)
class Ways:
    """How clients reach upstreams in this run."""

    ports: dict[str, int]
    sidecar: Sidecar | None

    def url(self, upstream: str, path: str = "") -> str:
        """Address of *path* at *upstream*, through the sidecar unless the run is direct."""
        if self.sidecar is None:
            return self.direct(upstream, path)
        return self.sidecar.url(f"/{upstream}{path}")

    def direct(self, upstream: str, path: str = "") -> str:
        """Address of *path* at *upstream* itself."""
        port = self.ports.get(upstream, self.ports["scripted"])
        return f"http://127.0.0.1:{port}{path}"


@dataclass(frozen=True)
class Scene:
    """A scripted upstream as the test sees it."""

    url: str
    direct_url: str
    played: scripted.Scene

    @property
    def only(self) -> scripted.Exchange:
        """The one request that arrived."""
        return self.played.only

    @property
    def exchanges(self) -> list[scripted.Exchange]:
        """All that arrived, in order."""
        return self.played.exchanges


Play = Callable[..., Scene]
