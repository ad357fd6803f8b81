"""Tells the service manager what becomes of this process: systemd's protocol, sd_notify(3).

A message is a datagram with lines `NAME=VALUE` to the Unix socket that `NOTIFY_SOCKET` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_log: Final = logging.getLogger(__name__)
_PATIENCE: Final = 1.0
"""Seconds that a manager may take to make room for a message."""
_SPARE: Final = 10.0
"""Seconds beyond the drain that the end may take: last replies, spans, the log."""


class Notifier:
    """Sends messages to the socket that *environ* names; does nothing where it names none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        place = environ.get("NOTIFY_SOCKET", "")
        self._place = "\0" + place[1:] if place.startswith("@") else place
        if place and place[0] not in "/@":  # vsock, of virtual machines
            _log.warning("NOTIFY_SOCKET names no Unix socket; nothing is told to the manager")
            self._place = ""
        self._every = _watchdog(environ) / 2
        self._beats = False
        self._leaving = False

    def ready(self) -> None:
        """Say that calls are taken, and from now on that the running loop still runs."""
        if not self._leaving:
            self._send("READY=1", "STATUS=serving")
        if self._every and not self._beats:
            self._beats = True
            self._beat()

    def reloading(self) -> None:
        """Say that the configuration is read again. `ready` says that it has been."""
        if not self._leaving:
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, within: float) -> None:
        """Say that no call in flight gets more than *within* seconds; it is not to be killed."""
        self._leaving = True
        grace = int((within + _SPARE) * 1e6)
        status = f"STATUS=draining, for {within:g} s at most"
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={grace}", status)

    def _beat(self) -> None:
        self._send("WATCHDOG=1")
        asyncio.get_running_loop().call_later(self._every, self._beat)

    def _send(self, *lines: str) -> None:
        if not self._place:
            return
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            sock.settimeout(_PATIENCE)
            try:
                sock.sendto("\n".join(lines).encode(), self._place)
            except OSError as error:
                _log.warning("the service manager was not told %s: %s", lines[0], error)


def _watchdog(environ: Mapping[str, str]) -> float:
    """Seconds without a beat after which the manager kills this process. 0: it does not."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0
