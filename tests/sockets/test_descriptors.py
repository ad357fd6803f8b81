"""No descriptor is closed twice: its number may be another connection's by then."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

from tests.sockets.peers import GET, Server
from tests.sockets.stage import Stage


class Watcher(threading.Thread):
    """Opens descriptors, as the admin server's thread does, and notices who else closes them."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()
        self.lost = 0

    def run(self) -> None:
        while not self.over.is_set():
            fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
            self.over.wait(0.0005)
            for fd in fds:
                try:
                    os.close(fd)
                except OSError:
                    self.lost += 1


async def test_tls_that_is_broken_off_at_once() -> None:
    server = Server()
    upstreams = {"u": {"endpoints": [{"url": server.url.replace("http:", "https:")}]}}
    watcher = Watcher()
    async with Stage(upstreams=upstreams, servers=[server]) as stage:

        async def resets() -> None:
            while True:
                (await server.accepts()).resets()

        resetting = stage.begins(resets())
        watcher.start()
        try:
            client = await stage.client()
            for _ in range(150):
                await client.sends(GET)
                assert (await client.reply()).status == 502
                gc.collect()
        finally:
            watcher.over.set()
            await asyncio.to_thread(watcher.join)
            resetting.cancel()
    assert watcher.lost == 0
