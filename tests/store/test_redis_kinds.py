"""TLS, a Sentinel's master and a cluster: each with real servers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from sidecar.store.base import Run, StoreError, script
from sidecar.store.redis_store import RedisSettings, RedisStore
from tests.store.redis_server import NEEDS

COUNT = script("return redis.call('incrby', KEYS[1], ARGV[1])")


class Servers:
    """redis-servers with arguments of a test, on TCP ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> None:
        self._processes.append(
            subprocess.Popen(
                ["redis-server", *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    if shutil.which("redis-server") is None:
        pytest.skip(NEEDS)
    made = Servers(tmp_path)
    yield made
    made.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def ask(port: int, *command: str) -> str:
    """What the server at *port* answers, once it is there."""
    end = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(" ".join(command).encode() + b"\r\n")
                return sock.recv(65536).decode()
        except OSError:
            assert time.monotonic() < end, "redis-server does not start"
            time.sleep(0.01)


async def serves(store: RedisStore) -> None:
    """It keeps values and locks; what it is told first may come before the servers are ready."""
    end = time.monotonic() + 20
    while True:
        try:
            await store.put("p:a", b"x", 60.0)
            break
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.05)  # noqa: ASYNC251
    assert await store.get("p:a") == b"x"
    assert await store.lock("p:l", b"one", 60.0)
    assert not await store.lock("p:l", b"two", 60.0)
    await store.unlock("p:l", b"one")
    for number in range(20):
        await store.put(f"p:{number}", b"x", 60.0)
    assert await store.purge("p:*") == 21
    runs = [Run(COUNT, f"p:n{number}", (number,)) for number in range(100)]
    assert await store.run(runs) == list(range(100))
    assert await store.run(runs) == [2 * number for number in range(100)]
    await store.close()


async def test_tls_with_a_client_certificate(servers: Servers, tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("127.0.0.1", "client"):
        made = ca.issue_cert(name)
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    port = free_port()
    servers.start(
        "--port", "0", "--tls-port", str(port), "--save", "", "--tls-ca-cert-file", "ca.pem",
        "--tls-cert-file", "127.0.0.1.pem", "--tls-key-file", "127.0.0.1.key",
    )  # fmt: skip
    url = f"rediss://127.0.0.1:{port}/0"
    ours = RedisSettings(
        url,
        ca=str(tmp_path / "ca.pem"),
        cert=str(tmp_path / "client.pem"),
        key=str(tmp_path / "client.key"),
    )
    await serves(RedisStore(ours))
    for wrong in (ours._replace(ca=None), ours._replace(cert=None, key=None)):
        store = RedisStore(wrong)
        with pytest.raises(StoreError):
            await store.get("a")
        await store.close()


async def test_the_master_that_sentinels_know(servers: Servers, tmp_path: Path) -> None:
    master, sentinel = free_port(), free_port()
    servers.start("--port", str(master), "--save", "")
    ask(master, "PING")
    conf = tmp_path / "sentinel.conf"
    conf.write_text(f"port {sentinel}\nsentinel monitor main 127.0.0.1 {master} 1\n")
    servers.start(str(conf), "--sentinel")
    ask(sentinel, "PING")
    settings = RedisSettings(
        "redis://unused:1/0", sentinels=(("127.0.0.1", sentinel),), master="main"
    )
    await serves(RedisStore(settings))
    store = RedisStore(settings._replace(master="other"))
    with pytest.raises(StoreError):
        await store.get("a")
    await store.close()


async def test_a_cluster(servers: Servers) -> None:
    first, second = free_port(), free_port()
    for port in (first, second):
        servers.start(
            "--port", str(port), "--cluster-enabled", "yes", "--save", "",
            "--cluster-port", str(free_port()), "--cluster-config-file", f"{port}.conf",
        )  # fmt: skip
    ask(first, "CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    ask(second, "CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    bus = ask(second, "CONFIG", "GET", "cluster-port").split("\r\n")[4]
    ask(first, "CLUSTER", "MEET", "127.0.0.1", str(second), bus)
    end = time.monotonic() + 20
    while "cluster_state:ok" not in ask(first, "CLUSTER", "INFO"):
        assert time.monotonic() < end, ask(first, "CLUSTER", "INFO")
        time.sleep(0.05)  # noqa: ASYNC251
    await serves(RedisStore(RedisSettings(f"redis://127.0.0.1:{first}", cluster=True)))
