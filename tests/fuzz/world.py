"""A sidecar in this process between raw callers and raw origins, as fast as one loop can do it.

Nothing here waits for a clock unless it must: a turn of the loop carries whatever is on its way, as
both ends and the sidecar share it. After so many turns without an event all is at rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, Self, cast

from sidecar.config.load import load
from sidecar.control.serving import Serving
from sidecar.listen.listener import split_address
from sidecar.observe.lines import line
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import Stats
from tests.fuzz.cases import Fault

_TURNS: Final = 6
"""Turns of the loop without an event after which nothing is on its way."""
_PAUSES: Final = 1
"""Pauses without an event that follow while the sidecar still carries a call: it may have a timer
of a millisecond (a retry's, a hedge's), or wait for more of a body, which is not to come."""
_PAUSE: Final = 0.0012
"""Seconds: longer than libuv's clock ticks."""
PATIENCE: Final = 10.0
"""Seconds after which something that must happen has not. Only faults take so long."""
_RESET: Final = struct.pack("ii", 1, 0)


class End(asyncio.Protocol):
    """One end of a connection, and all that came to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.transport = cast("asyncio.Transport", None)
        self.received = b""
        self.ended = False
        """The other side has closed its side in order."""
        self.lost = False
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.world.events += 1
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.world.events += 1
        self.received += data

    def eof_received(self) -> bool:
        self.world.events += 1
        self.ended = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.world.events += 1
        self.lost, self.error = True, exc

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""
        return self.ended or self.lost

    def send(self, data: bytes) -> None:
        if not self.lost:
            self.transport.write(data)

    def reset(self) -> None:
        """Close so that no port is kept by a connection that has ended."""
        if not self.lost:
            sock = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def close(self) -> None:
        if not self.lost:
            self.transport.close()


class Lines:
    """In the place of the access log's file and its thread: each line, at once."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def append(self, record: CallRecord) -> None:
        self.lines.append(line(record))

    def close(self) -> None:
        pass


class World:
    """Serves *config*. `errors` takes what its log and the loop complain about."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = {
            "access_log": {"path": None},
            "admin": {"address": None},
            "log_level": "warning",
            **config,
        }
        self.events = 0
        """Counts whatever happens at an end."""
        self.errors: list[str] = []
        self.log = Lines()
        self.stats = Stats(0.0)
        self.own: set[asyncio.Task[Any]] = set()
        """Tasks that are none of the sidecar's."""
        self._descriptors = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(repr(context)))
        self._handler = logging.Handler(logging.ERROR)
        self._handler.emit = self._emit  # type: ignore[method-assign]
        logging.getLogger().addHandler(self._handler)
        self.serving = Serving(self.stats)
        await self.serving.apply(load(json.dumps(self.config), file="fuzz.yaml"))
        self.serving.recorder.sinks = [self.log]
        self.own = asyncio.all_tasks()
        self.addresses = [
            (split_address(name)[0], listener.port)
            for name, listener in self.serving.listeners.items()
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        await self.serving.drain(0)

    def _emit(self, record: logging.LogRecord) -> None:
        self.errors.append(logging.Formatter().format(record))

    # -- the ends --

    async def caller(self, listener: int = 0) -> End:
        """A new connection to the sidecar."""
        _, end = await self._loop.create_connection(lambda: End(self), *self.addresses[listener])
        return end

    async def origin(self, make: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        """A server on a port of its own."""
        return await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)

    # -- waiting --

    async def turn(self) -> None:
        """Let what was sent arrive."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def rests(self, *, long: bool = False) -> None:
        """Wait until nothing more happens by itself; *long*: and be sure of it."""
        await self._quiet(_TURNS, 0)
        if long:
            await self._quiet(60, _PAUSE)
        elif self.carries:
            await self._quiet(_PAUSES, _PAUSE)

    async def _quiet(self, turns: int, pause: float) -> None:
        quiet = 0
        while quiet < turns:
            before = self.events
            await asyncio.sleep(pause)
            quiet = quiet + 1 if self.events == before else 0

    async def soon(self, condition: Callable[[], object], seconds: float = 0.05) -> bool:
        """Wait until *condition* holds, but no longer than *seconds*. Whether it does."""
        for _ in range(50):
            if condition():
                return True
            await asyncio.sleep(0)
        end = self._loop.time() + seconds
        while not condition():
            if self._loop.time() > end:
                return False
            await asyncio.sleep(_PAUSE)
        return True

    async def until(self, condition: Callable[[], object], kind: str) -> None:
        """Wait until *condition* holds: a fault of this *kind* if it never does."""
        if not await self.soon(condition, PATIENCE):
            raise Fault(kind, "; ".join(self.held()))

    # -- what the sidecar holds --

    @property
    def carries(self) -> bool:
        """Whether a call is under way."""
        return any(route.in_flight for route in self.stats.routes.values())

    def held(self) -> Iterator[str]:
        """What is held for callers: nothing, when none is there."""
        for key, route in self.stats.routes.items():
            if route.in_flight:
                yield f"{route.in_flight} calls of {key}"
        for (_, name), stats in self.stats.endpoints.items():
            if stats.in_flight or stats.waiting or stats.open != stats.idle:
                yield (
                    f"{name}: {stats.in_flight} attempts, {stats.waiting} waiting, "
                    f"{stats.open - stats.idle} connections in use"
                )
        for name, listener in self.stats.listeners.items():
            if listener.open or listener.passing:
                yield f"{name}: {listener.open} connections, {listener.passing} passed through"
        for task in asyncio.all_tasks() - self.own - {asyncio.current_task()}:
            yield repr(task)

    async def is_empty(self) -> None:
        """Nothing is held for callers that have all gone."""
        await self.until(lambda: not any(self.held()), "something is held for callers that left")

    def is_well(self) -> None:
        """No error was logged, and the access log is readable, since this was last asked."""
        errors, self.errors[:] = list(self.errors), []
        lines, self.log.lines[:] = list(self.log.lines), []
        if errors:
            raise Fault("an error was logged", errors[0])
        for each in lines:
            check_line(each)

    def check_descriptors(self) -> None:
        """No descriptor was lost, as long as the same connections may be idle."""
        count = len(os.listdir("/proc/self/fd")) - sum(
            stats.open for stats in self.stats.endpoints.values()
        )
        if self._descriptors and count > self._descriptors + 8:
            raise Fault("descriptors are lost", f"{self._descriptors} before, {count} now")
        self._descriptors = self._descriptors or count


def check_line(text: bytes) -> None:
    """A line of the access log must be JSON, and steer no terminal."""
    if not text.endswith(b"\n") or any(byte < 0x20 or byte == 0x7F for byte in text[:-1]):
        raise Fault("a control byte in the access log", text)
    if any(0x80 <= ord(char) < 0xA0 for char in text.decode("utf-8", "surrogateescape")):
        raise Fault("a C1 control in the access log", text)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Fault("a line of the access log is no JSON", (error, text)) from None
    if not isinstance(found, dict) or "request_id" not in found:
        raise Fault("a line of the access log is no record", text)
