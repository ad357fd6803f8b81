from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sidecar.control.admin import AdminServer
from tests.control.plane import Plane


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
def server(plane: Plane) -> Iterator[AdminServer]:
    server = AdminServer(plane, "127.0.0.1:0", None)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def admin(server: AdminServer) -> str:
    return f"127.0.0.1:{server.port('admin')}"
