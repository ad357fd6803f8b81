"""A sidecar that runs: the one that is there, or one of our own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from sidecar import environment
from sidecar.calls.ask import absent
from sidecar.config.defaults import default_text
from sidecar.config.load import load

GROUP: Final = 1414
"""Group of a sidecar that we start for `capture`: redirect rules leave it alone. Another user might
not be able to read this program's files."""
_PATIENCE: Final = 15.0
"""Seconds until a sidecar that was started has to answer."""
_STOP: Final = 5.0
"""Seconds that it gets to let its calls end."""


class NotRunning(Exception):
    """There is no sidecar, or it does not start; the message says why."""


class Running(NamedTuple):
    """A sidecar that answers."""

    admin: str
    addresses: dict[str, str]
    """Of its listeners, by mode."""
    ca: str | None
    """The certificate of its local CA."""

    def metrics(self) -> str:
        """What it counts, as Prometheus reads it."""
        return _get(self.admin, "/metrics").decode()


def find(admin: str) -> Running:
    """The sidecar whose admin API is at *admin*. Raise NotRunning."""
    try:
        found = json.loads(_get(admin, "/interception"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotRunning(absent(admin, error)) from error
    addresses = {mode: _loopback(places[0]) for mode, places in found["listeners"].items()}
    return Running(admin, addresses, found["ca"])


@contextlib.contextmanager
def started(folder: Path, file: Path | None, group: int | None = None) -> Iterator[Running]:
    """Run a sidecar of our own, with its state in *folder*, until the block ends."""
    if file is None:
        file, admin = _private(folder)
    else:
        admin = load(file.read_text(), file=str(file)).config.admin.address or ""
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "sidecar.log").open("wb"))
        child = subprocess.Popen(
            [sys.executable, "-m", "sidecar", "run", "-c", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment.without(os.environ),  # it listens where we say
            start_new_session=True,  # what the terminal sends to the program is not for it
            group=group,
        )
        try:
            yield _await(child, admin, folder / "sidecar.log")
        finally:
            _stop(child)


def _private(folder: Path) -> tuple[Path, str]:
    """Return the built-in configuration, on free ports."""
    reverse, forward, capture, admin = (f"127.0.0.1:{port}" for port in _free_ports(4))
    config: dict[str, Any] = yaml.safe_load(default_text())
    config["listeners"] = [
        {"mode": "reverse", "address": reverse},
        {"mode": "forward", "address": forward},
        {"mode": "capture", "address": capture.replace("127.0.0.1", "localhost")},
    ]
    config["admin"] = {"address": admin}
    config["access_log"] = {"path": None}
    config["drain"] = "2s"
    file = folder / "sidecar.yaml"
    file.write_text(json.dumps(config))
    file.chmod(0o644)
    return file, admin


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


def _await(child: subprocess.Popen[bytes], admin: str, log: Path) -> Running:
    end = time.monotonic() + _PATIENCE
    while child.poll() is None and time.monotonic() < end:
        with contextlib.suppress(NotRunning):
            return find(admin)
        time.sleep(0.05)
    raise NotRunning(f"the sidecar did not start: {log.read_text(errors='replace')[-2000:]}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _get(admin: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(admin, timeout=5)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        if reply.status != 200:
            raise http.client.HTTPException(f"status {reply.status}")
        return reply.read()
    finally:
        connection.close()


def _loopback(address: str) -> str:
    """How a program of this machine reaches a listener at *address*."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "localhost", "[::]") else address  # noqa: S104
