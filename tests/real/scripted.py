"""An upstream whose every reply a test scripts, and which remembers what it received.

h11 reads and writes the messages: a judge that shares no code with the sidecar. Each connection has
a thread, so that a script may block: to pace a stream, or to wait until its caller has gone.
"""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import h11

WAIT: Final = 15.0
"""Seconds that a script waits for its test before it gives up."""

Script = Callable[["Exchange"], None]
Headers = Iterable[tuple[str, str]]


class Exchange:
    """One request as it arrived, and the means to answer it badly or well."""

    def __init__(
        self, sock: socket.socket, conn: h11.Connection, head: h11.Request, body: bytes
    ) -> None:
        self._sock = sock
        self._conn = conn
        self.method = head.method.decode()
        self.target = head.target.decode()
        self.version = head.http_version.decode()
        self.raw_headers: list[tuple[str, str]] = [
            (name.decode(), value.decode()) for name, value in head.headers.raw_items()
        ]
        """In order, as they were spelled."""
        self.body = body
        self.closed = threading.Event()
        """Set when the script has seen its caller go."""

    def all(self, name: str) -> list[str]:
        """Values of every header *name*, in order."""
        return [value for key, value in self.raw_headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The one value of header *name*, None without one."""
        values = self.all(name)
        assert len(values) < 2, f"{name} arrived {len(values)} times"
        return values[0] if values else None

    def json(self, status: int, value: object, headers: Headers = ()) -> None:
        """Reply with *value* as JSON."""
        body = json.dumps(value).encode()
        self.head(status, [("content-type", "application/json"), *headers], length=len(body))
        self.chunk(body)
        self.end()

    def head(self, status: int, headers: Headers = (), length: int | None = None) -> None:
        """Send the head of a reply: chunked, unless its *length* is given."""
        framing = ("transfer-encoding", "chunked")
        if length is not None:
            framing = ("content-length", str(length))
        self._send(h11.Response(status_code=status, headers=[*headers, framing]))

    def sse_head(self, headers: Headers = ()) -> None:
        """Send the head of an event stream."""
        self.head(200, [("content-type", "text/event-stream"), *headers])

    def event(self, value: object, name: str | None = None) -> None:
        """Send one server-sent event with *value* as its data: text as it is, all else as JSON."""
        kind = f"event: {name}\n" if name else ""
        data = value if isinstance(value, str) else json.dumps(value)
        self.chunk(f"{kind}data: {data}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._send(h11.Data(data=data))

    def end(self) -> None:
        """End the reply as its framing has it."""
        self._send(h11.EndOfMessage())

    def bodiless(self, status: int) -> None:
        """Reply with a status that has no body."""
        self._send(h11.Response(status_code=status, headers=[]))
        self.end()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def cut(self) -> None:
        """Close the connection wherever the reply stands."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def await_close(self) -> None:
        """Read, and forget, what comes until the caller closes the connection."""
        self._sock.settimeout(WAIT)
        try:
            while self._sock.recv(65536):
                pass
        except TimeoutError:
            return
        except ConnectionError:
            pass
        self.closed.set()

    def _send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        data = self._conn.send(event)
        if data:
            self._sock.sendall(data)


@dataclass
class Scene:
    """A script at an address of its own, and the exchanges that reached it."""

    script: Script
    path: str
    early: bool
    """Whether the script runs before the request's body has been read, and reads it itself."""
    exchanges: list[Exchange] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def only(self) -> Exchange:
        """The one exchange, which may still be on its way."""
        assert self.arrived.wait(WAIT), "no request arrived"
        assert len(self.exchanges) == 1, f"{len(self.exchanges)} requests arrived, not 1"
        return self.exchanges[0]


class Server(socketserver.ThreadingTCPServer):
    """Serves scenes, each under a path prefix that no other has."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.scenes: dict[str, Scene] = {}
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def play(self, script: Script, early: bool = False) -> Scene:
        """Have *script* answer what arrives below a new path."""
        name = uuid.uuid4().hex[:12]
        scene = self.scenes[name] = Scene(script, f"/{name}", early)
        return scene


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.conn = h11.Connection(h11.SERVER)
        try:
            while (head := self._request_head()) is not None:
                self._play(head)
                if {self.conn.our_state, self.conn.their_state} != {h11.DONE}:
                    return
                self.conn.start_next_cycle()
        except (OSError, h11.RemoteProtocolError):
            return  # The peer broke off, or never spoke HTTP/1.1.

    def _play(self, head: h11.Request) -> None:
        scene = self.server.scenes.get(head.target.decode().split("/")[1])
        body = b"" if scene is not None and scene.early else self._body()
        exchange = Exchange(self.request, self.conn, head, body)
        if scene is None:
            exchange.json(404, {"error": {"message": f"no scene for {exchange.target}"}})
            return
        scene.exchanges.append(exchange)
        scene.arrived.set()
        try:
            scene.script(exchange)
        except OSError:
            exchange.closed.set()
            raise
        except Exception as error:  # The fixture raises it in the test's thread.
            scene.faults.append(error)

    def _request_head(self) -> h11.Request | None:
        event = self._event()
        return event if isinstance(event, h11.Request) else None

    def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := self._event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        return bytes(body)

    def _event(self) -> object:
        while (event := self.conn.next_event()) is h11.NEED_DATA:
            if self.conn.they_are_waiting_for_100_continue:
                going = h11.InformationalResponse(status_code=100, headers=[])
                self.request.sendall(self.conn.send(going) or b"")
            self.conn.receive_data(self.request.recv(65536))
        return event
