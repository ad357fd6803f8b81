"""A real redis-server on a socket of its own, which a test stops, freezes and starts again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NEEDS = "needs redis-server (Debian: redis-server)"


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def started(cls, folder: Path) -> RedisServer:
        if shutil.which("redis-server") is None:
            pytest.skip(NEEDS)
        server = cls(folder)
        server.start()
        return server

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "",
                "--appendonly", "no", "--enable-debug-command", "yes", "--dir", str(self._folder),
                "--daemonize", "no", "--loglevel", "warning",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < end, "redis-server does not start"
            time.sleep(0.01)

    def _answers(self) -> bool:
        import redis

        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False

    def ask(self, *command: Any) -> Any:
        """What it answers to *command*."""
        import redis

        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it answer nothing, as behind a broken network."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
