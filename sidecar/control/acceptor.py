"""Accepts connections for the admin server, also when the process is out of descriptors.

asyncio's own accept loop writes an error with a traceback for each try then, hundreds a second, and
leaves the connection waiting: `/live` would fail where nothing is wrong but the load.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sidecar.observe.shortage import note

_AT_ONCE: Final = 16
"""Connections that are accepted before others get their turn."""
_AGAIN: Final = 0.05
"""Seconds until accepting is tried again: by then a connection that was closed is gone."""


class Acceptor:
    """Gives each connection to *listening* a protocol from *admit*; *spare* closes another one.

    It runs in *loop*.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        admit: Callable[[], asyncio.Protocol],
        spare: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._listening = listening
        self._admit = admit
        self._spare = spare
        self._arriving: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                note("admin", f"can't accept: {error.strerror}")
                self._spare()
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(_AGAIN, self._resume)
                return
            sock.setblocking(False)
            made = self._loop.connect_accepted_socket(self._admit, sock)
            task: asyncio.Task[object] = self._loop.create_task(made)
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _resume(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening, self._accept)
