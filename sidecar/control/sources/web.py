"""HTTP requests to where a configuration is kept. They block: each runs in a thread of its own.

The standard library's client is enough here, where a request is rare, and takes no memory where
the configuration is a file. It never uses a proxy from the environment: that may be this sidecar.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

MAX_REPLY: Final = 4 * 2**20
"""Bytes. A configuration has at most 1 MiB; some centres send it in Base64."""
_MAX_LINE: Final = 4 * 2**20
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Server(NamedTuple):
    """One address of a centre."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Answer(NamedTuple):
    """A reply."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class Refused(OSError):
    """The server answered, but not with what was asked for."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(0, message)
        self.status = status

    def __str__(self) -> str:
        return str(self.strerror)


class Web:
    """Requests to the first of *servers* that answers. At most one at a time, but for `close`."""

    def __init__(self, servers: list[Server]) -> None:
        self._servers = servers
        self._open: http.client.HTTPConnection | None = None
        self._closed = False

    def __str__(self) -> str:
        return ",".join(map(str, self._servers))

    def ask(
        self,
        method: str,
        target: str,
        *,
        seconds: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the reply, of any status. Raise OSError if no server gives one.

        *seconds*: without a byte, after which the next server is tried.
        """
        connection, reply = self._reply(method, target, body, headers or {}, seconds)
        try:
            data = reply.read(MAX_REPLY + 1)
        except (http.client.HTTPException, ValueError) as error:
            raise Refused(f"{self}: the reply broke off ({error!r})") from None
        finally:
            self._drop(connection)
        if len(data) > MAX_REPLY:
            raise Refused(f"{self}: a reply of more than {MAX_REPLY} bytes")
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, data)

    def lines(
        self,
        method: str,
        target: str,
        *,
        seconds: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[bytes]:
        """Yield the lines of a reply as they come, until it ends. Raise OSError.

        *seconds*: without a byte, after which TimeoutError is raised.
        """
        connection, reply = self._reply(method, target, body, headers or {}, seconds)
        try:
            if reply.status != 200:
                text = reply.read(1024).decode("utf-8", "replace")
                raise Refused(f"{self}: {reply.status} {text.strip()}", reply.status)
            while line := reply.readline(_MAX_LINE):
                yield line
        except (http.client.HTTPException, ValueError) as error:
            raise Refused(f"{self}: the reply broke off ({error!r})") from None
        finally:
            self._drop(connection)

    def close(self) -> None:
        """End the request that is under way, from another thread."""
        self._closed = True
        connection = self._open
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(2)

    def _reply(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        last: OSError = Refused(f"{self}: no server")
        for server in list(self._servers):
            connection = _connection(server, seconds)
            self._open = connection
            try:
                if self._closed:
                    raise Refused("closed")
                connection.request(method, target, body, dict(headers))
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop(connection)
                last = _named(server, error)
                if self._closed:
                    break
                self._servers.append(self._servers.pop(0))  # the next one first, from now on
        raise last

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        self._open = None
        connection.close()


def _connection(server: Server, seconds: float) -> http.client.HTTPConnection:
    if server.tls is None:
        return http.client.HTTPConnection(server.host, server.port, timeout=seconds)
    return http.client.HTTPSConnection(
        server.host, server.port, timeout=seconds, context=server.tls
    )


def _named(server: Server, error: Exception) -> OSError:
    if isinstance(error, TimeoutError):
        return Refused(f"{server}: no answer in time")
    if isinstance(error, OSError):
        return Refused(f"{server}: {error.strerror or error}")
    return Refused(f"{server}: not HTTP ({error!r})")


def decoded(answer: bytes) -> Any:
    """Return *answer* as JSON; None if it is none."""
    try:
        return msgspec.json.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def object_in(answer: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object *answer*; raise Refused if it is none."""
    found = decoded(answer)
    if not isinstance(found, dict):
        raise Refused(f"{where}: the answer is no JSON object")
    return found


def is_redirect(answer: Answer) -> bool:
    """Whether what was asked for is elsewhere."""
    return answer.status in _REDIRECTS and "location" in answer.headers


def expected(answer: Answer, where: str) -> Answer:
    """Return *answer* if its status is 200; raise Refused."""
    if answer.status == 200:
        return answer
    text = answer.body[:200].decode("utf-8", "replace").strip().replace("\n", " ")
    raise Refused(f"{where}: {answer.status} {text}".rstrip(), answer.status)
