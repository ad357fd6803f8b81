"""The servers behind the proxies: canned bodies, the least parsing that is still correct.

`python -m bench.upstream COUNT CHUNKS INTERVAL [PEM]` listens on COUNT loopback ports, with the
certificate PEM on as many more that speak TLS, prints them on one line, and serves until it is
ended. Reply heads are as a provider's, each of them new, unless the call's body says
`"plain":true`. If it says `"close":true`, the connection closes after the reply. If it says
`"stream":true`, the reply has CHUNKS chunks, one each INTERVAL seconds, each with the monotonic
time at which it was written; with `"steps":true` too, all such streams get theirs at the same time.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
import time
from functools import partial
from typing import Final, cast

import uvloop

from bench import messages, provider
from bench.pacer import Pacer

_HEAD_END: Final = b"\r\n\r\n"
_MEBIBYTE: Final = memoryview(bytes(2**20))
_LARGE: Final = f"GET {messages.LARGE_PATH} ".encode()


def _content_length(data: bytes, end: int) -> int:
    """Content-Length of the head that ends at *end*; 0 without one."""
    at = data.find(b"ontent-Length: ", 0, end)
    if at < 0:
        at = data.find(b"ontent-length: ", 0, end)
    return int(data[at + 15 : data.find(b"\r", at)]) if at > 0 else 0


class Server(asyncio.Protocol):
    """One connection. Assumes what holds here: no pipelining, bodies with Content-Length."""

    __slots__ = ("chunks", "even", "heads", "left", "pending", "steps", "transport")

    def __init__(self, heads: provider.Heads, chunks: int, even: Pacer, steps: Pacer) -> None:
        self.heads = heads
        self.chunks = chunks
        self.even = even
        self.steps = steps
        self.left = 0  # chunks of the stream that is under way
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.pending:
            data = self.pending + data
        end = data.find(_HEAD_END)
        if end < 0 or len(data) < end + 4 + _content_length(data, end):
            self.pending = data
            return
        self.pending = b""
        if data.startswith(b"GET "):
            self._get(data)
        elif data.find(messages.PLAIN_MARK, end) > 0:
            self.transport.write(messages.PLAIN_REPLY)
        elif data.find(messages.STREAM_MARK, end) > 0:
            self.transport.write(self.heads.make() + messages.STREAM_REPLY)
            self.left = self.chunks
            stepped = data.find(messages.STEPS_MARK, end) > 0
            (self.steps if stepped else self.even).add(self._send_chunk)
        elif data.find(messages.CLOSE_MARK, end) > 0:
            self.transport.write(self.heads.make(b"close") + messages.REPLY)
            self.transport.close()
        else:
            self.transport.write(self.heads.make() + messages.REPLY)

    def _get(self, data: bytes) -> None:
        if data.startswith(_LARGE):
            self.transport.write(messages.LARGE_HEAD)
            # The same mebibyte again and again: nothing to read, nothing to copy but in the kernel.
            self.transport.writelines([_MEBIBYTE] * (messages.LARGE_BYTES // len(_MEBIBYTE)))
        else:
            self.transport.write(messages.ABOUT)

    def _send_chunk(self) -> bool:
        """Send the stream's next chunk, or its end; return whether there is more."""
        if self.transport.is_closing():
            return False
        if not self.left:
            self.transport.write(messages.STREAM_END)
            return False
        self.left -= 1
        self.transport.write(messages.stream_chunk(time.monotonic_ns()))
        return True


async def _serve(count: int, chunks: int, interval: float, pem: str | None) -> None:
    loop = asyncio.get_running_loop()
    make = partial(Server, provider.Heads(), chunks, Pacer(interval), Pacer(interval, 1))
    contexts: list[ssl.SSLContext | None] = [None] * count
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        contexts += [context] * count
    servers = [
        await loop.create_server(make, "127.0.0.1", 0, backlog=1024, ssl=context)
        for context in contexts
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    gc.disable()  # what is made here goes without it, and a pause would count as a proxy's
    count, chunks, interval, *pem = sys.argv[1:]
    uvloop.run(_serve(int(count), int(chunks), float(interval), pem[0] if pem else None))
