"""A sidecar as it is started and stopped: in a process of its own, with signals."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.kube.test_chart_files import board_expressions, rule_expressions
from tests.sockets.peers import CHUNKED_OK, EVENTS, GET, OK, Peer, Server, chunk, until
from tests.sockets.scripted import chat

ANY = "127.0.0.1:0"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Process:
    """`sidecar run` in front of `server`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.server = Server()
        self.port, self.admin = free_port(), free_port()
        self.config = {
            "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            "upstreams": {"u": {"endpoints": [{"url": self.server.url}]}},
            "routes": [{"upstream": "u"}],
            "access_log": {"path": str(folder / "access.log")},
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            **settings,
        }
        self.log = folder / "access.log"
        self.file = folder / "sidecar.yaml"
        self.file.write_text(json.dumps(self.config))
        self.peers: list[Peer] = []
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "run", "-c", str(self.file), stderr=pipe, stdout=pipe
        )

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()
        for peer in self.peers:
            peer.closes()
        self.server.closes()

    async def client(self, port: int | None = None) -> Peer:
        """A connection to it, as soon as it takes one."""
        loop = asyncio.get_running_loop()
        for _ in range(500):
            sock = socket.socket()
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, ("127.0.0.1", port or self.port))
            except ConnectionRefusedError:
                sock.close()
                await asyncio.sleep(0.01)
                continue
            self.peers.append(Peer(sock))
            return self.peers[-1]
        raise AssertionError("it does not listen")

    async def call(self) -> tuple[Peer, Peer]:
        """Both ends of a new call."""
        client = await self.client()
        await client.sends(GET)
        server = await self.server.accepts()
        await server.head()
        return client, server

    async def get(self, path: str) -> Any:
        """What the admin API says."""
        admin = await self.client(self.admin)
        await admin.sends(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        return json.loads((await admin.reply()).body)

    async def exits(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        async with asyncio.timeout(5):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Process]:
    process = Process(folder, **settings)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def test_a_call_in_flight_is_finished(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        client, server = await it.call()
        it.process.send_signal(signal.SIGTERM)
        await drains(it)
        await server.sends(OK)
        assert (await client.reply())["connection"] == "close"
        await client.ends()
        client.closes()
        code, said = await it.exits()
        assert code == 0
        assert "Traceback" not in said
        assert json.loads(it.log.read_text())["status"] == 200


async def drains(it: Process) -> None:
    """Wait until it has heard the signal."""
    while True:
        admin = await it.client(it.admin)
        await admin.sends(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if (await admin.reply()).status == 503:
            return


async def test_an_idle_sidecar_ends_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, drain="1h") as it:
        client, server = await it.call()
        await server.sends(OK)
        await client.reply()
        it.process.send_signal(signal.SIGTERM)
        await client.ends()
        client.closes()
        assert (await it.exits())[0] == 0


async def test_the_deadline_cuts_what_is_left(tmp_path: Path) -> None:
    async with running(tmp_path, drain="100ms") as it:
        client, server = await it.call()
        await server.sends(CHUNKED_OK + chunk(b"some"))
        await client.until(chunk(b"some"))
        it.process.send_signal(signal.SIGTERM)
        await client.is_cut()
        await server.is_cut()
        code, said = await it.exits()
        assert code == 0
        assert "cut off" in said
        assert json.loads(it.log.read_text())["error"] == "cut_off"


async def test_a_second_signal_ends_it_now(tmp_path: Path) -> None:
    async with running(tmp_path, drain="1h") as it:
        client, server = await it.call()
        it.process.send_signal(signal.SIGINT)
        await drains(it)
        it.process.send_signal(signal.SIGINT)
        await client.is_cut()
        await server.is_cut()
        assert (await it.exits())[0] == 0


async def test_quit_by_the_admin_api(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        admin = await it.client(it.admin)
        await admin.sends(b"POST /quit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        await admin.reply("POST")
        assert (await it.exits())[0] == 0


async def test_a_bad_file_is_reported_by_the_admin_api(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        before = await it.get("/config")
        assert before["last_error"] is None
        it.file.write_text("routes: []")
        while (page := await it.get("/config"))["last_error"] is None:
            pass
        assert f"{it.file}:1: routes: must not be empty" in page["last_error"]
        assert (page["hash"], page["config"]) == (before["hash"], before["config"])
        client, server = await it.call()
        await server.sends(OK)
        assert (await client.reply()).body == b"ok"
        it.file.write_text(json.dumps(it.config))
        while (await it.get("/config"))["last_error"] is not None:
            pass


async def test_hanging_up_opens_the_log_anew_and_reads_the_file(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        client, server = await it.call()
        await server.sends(OK)
        await client.reply()
        rotated = tmp_path / "rotated.log"
        await until(lambda: it.log.exists() and it.log.read_text().count("\n") == 1)
        it.log.rename(rotated)
        it.process.send_signal(signal.SIGHUP)
        await until(it.log.exists)
        await client.sends(GET)
        await server.head()
        await server.sends(OK)
        await client.reply()
        await until(lambda: it.log.read_text().count("\n") == 1)
        assert rotated.read_text().count("\n") == 1


async def test_an_address_in_use(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await first.client()
        second = Process(tmp_path, listeners=first.config["listeners"])
        await second.start()
        code, said = await second.exits()
        second.server.closes()
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{first.port}" in said
        assert "is another sidecar running?" in said
        assert "Traceback" not in said


async def test_an_admin_address_in_use(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        await first.client()
        second = Process(tmp_path, admin=first.config["admin"])
        await second.start()
        code, said = await second.exits()
        second.server.closes()
        assert (code, "in use" in said, "Traceback" in said) == (1, True, False)


async def test_a_bad_file(tmp_path: Path) -> None:
    async with running(tmp_path, routes=[{"upstream": "nobody"}]) as it:
        code, said = await it.exits()
        assert code == 1
        assert said.count("\n") == 1
        assert f"{it.file}:1: routes[0].upstream" in said


async def test_a_scrape_has_all_that_dashboards_and_alerts_ask_for(tmp_path: Path) -> None:
    async with running(tmp_path, metrics={"semconv": "1.41"}) as it:
        client = await it.client()
        await client.sends(chat("m", stream=True))
        server = await it.server.accepts()
        await server.head()
        await server.sends(EVENTS)
        for piece in (b'{"choices":[{"index":0,"delta":{"content":"hi"}}]}', b"[DONE]"):
            await server.sends(chunk(b"data: " + piece + b"\n\n"))
        await server.sends(b"0\r\n\r\n")
        await client.reply("POST")
        admin, page = await it.client(it.admin), b""
        while b'_count{outcome="ok",route="0-u",upstream="u"} 1.0' not in page:
            await admin.sends(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page = (await admin.reply()).body
        families = {family.name for family in text_string_to_metric_families(page.decode())}
        asked = {
            re.sub(r"_(bucket|count|sum|total)$", "", name)
            for text in (*board_expressions(), *rule_expressions())
            for name in re.findall(r"\bsidecar_\w+", text)
        }
        assert {name for name in asked - families if "_injector_" not in name} == set()
        assert len(asked) >= 40
        assert b'sidecar_first_token_seconds_count{model="m",route="0-u",upstream="u"} 1.0' in page
        assert b"gen_ai_client_operation_time_to_first_chunk_seconds_count" in page
        if shutil.which("promtool") is not None:
            done = await asyncio.create_subprocess_exec(
                "promtool", "check", "metrics", stdin=asyncio.subprocess.PIPE
            )
            await done.communicate(page)
            assert done.returncode == 0
