"""Asks the system's resolver for the addresses of names, in threads of our own.

`getaddrinfo` blocks, and no timer can end it: a name whose server is silent holds its thread for 10
to 30 s (resolv.conf(5): `timeout` and `attempts`, for each server). In libuv's pool, which has four
threads, a few such names would hold up every other look-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `getaddrinfo` returns it: family, type, protocol, canonical name and address."""

SILENT: Final = 5.0
"""Seconds after which a look-up counts as not answered: what resolv.conf(5) gives one server."""
_SLOW: Final = 1024
"""Names that are remembered as slow, at most."""
_NO_SUCH: Final = frozenset(
    code
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (code := getattr(socket, name, None)) is not None
)


def literal(host: str, port: int) -> list[AddrInfo] | None:
    """Return the address that *host* is, if it is one. No resolver is asked, no thread is used."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
    except (OSError, UnicodeError):
        return None


def with_port(infos: list[AddrInfo], port: int) -> list[AddrInfo]:
    """Put *port* into each address of *infos*."""
    return [(*info[:4], (info[4][0], port, *info[4][2:])) for info in infos]


def says_no(error: Exception) -> bool:
    """Whether *error* is an answer: there is no such name, or it has no address.

    A name that can't be encoded (UnicodeError) does not exist either. Everything else says that the
    resolver could not find out.
    """
    if isinstance(error, socket.gaierror):
        return error.errno in _NO_SUCH
    return isinstance(error, UnicodeError)


def ask_system(host: str) -> list[AddrInfo]:
    """Block until the system's resolver has answered. Raise OSError or UnicodeError."""
    return list(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM))


class Lookups:
    """At most one thread for each name, and *most* threads in all. Use from one loop.

    Beyond that, look-ups wait for a thread in the order in which they came. Names whose last
    look-up was slow get half of the threads at most: names that are known to hang cannot hold up
    those that don't.
    """

    def __init__(
        self, most: int, ask: Callable[[str], list[AddrInfo]] = ask_system, slow: float = 1.0
    ) -> None:
        self._most = most
        self._ask = ask
        self._slow_after = slow
        self._loop = asyncio.get_running_loop()
        self._asked: dict[str, asyncio.Future[list[AddrInfo]]] = {}
        """All look-ups that are not answered yet, by name."""
        self._waiting: dict[str, None] = {}
        """Those of `_asking` that have no thread yet, in order."""
        self._slow: dict[str, None] = {}

    async def find(self, host: str) -> list[AddrInfo]:
        """Return the addresses of *host*, with port 0. Raise OSError or UnicodeError.

        When its caller is cancelled, the look-up goes on for others that ask for the same name.
        """
        answer = self._asked.get(host)
        if answer is None:
            answer = self._asked[host] = self._loop.create_future()
            self._waiting[host] = None
            self._start()
        return await asyncio.shield(answer)

    @property
    def running(self) -> int:
        """Count the threads that are asking now."""
        return len(self._asked) - len(self._waiting)

    def _start(self) -> None:
        """Start threads for look-ups that wait, as far as the bound allows."""
        asking = self._asked.keys() - self._waiting.keys()
        slow = len(asking & self._slow.keys())
        running = len(asking)
        for host in list(self._waiting):
            if running >= self._most:
                return
            if host in self._slow:
                if slow >= max(1, self._most // 2):
                    continue
                slow += 1
            running += 1
            del self._waiting[host]
            self._give_thread(host)

    def _give_thread(self, host: str) -> None:
        try:
            Thread(target=self._run, args=(host,), name="look-up", daemon=True).start()
        except RuntimeError as error:  # the machine has no thread for us
            failed = OSError(errno.EAGAIN, str(error))
            self._loop.call_soon(self._answer, host, failed, 0.0)

    def _run(self, host: str) -> None:
        began = time.monotonic()
        found: list[AddrInfo] | Exception
        try:
            found = self._ask(host)
        except Exception as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._answer, host, found, time.monotonic() - began)

    def _answer(self, host: str, found: list[AddrInfo] | Exception, seconds: float) -> None:
        self._slow.pop(host, None)
        if seconds > self._slow_after:
            if len(self._slow) >= _SLOW:
                del self._slow[next(iter(self._slow))]
            self._slow[host] = None
        answer = self._asked.pop(host)
        if isinstance(found, Exception):
            answer.set_exception(found)
            answer.exception()  # seen, also if nobody waits for it any more
        else:
            answer.set_result(found)
        self._start()
