"""What stands between the clients and the provider: a sidecar each, Envoy's limits, or nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.contenders import SIDECAR_PYTHON, Place, envoy
from bench.process import Process

SIDES: Final = 50
_AT_ONCE: Final = 5
"""Processes that start at a time."""
_READY_WITHIN: Final = 60.0
_BURST: Final = 3
"""Calls that Envoy lets go at once, as many as three seconds or so bring."""
_SIDECAR: Final = """\
listeners:
  - {{mode: reverse, address: "127.0.0.1:{port}"}}
upstreams:
  provider: {{endpoints: [{{url: "http://127.0.0.1:{provider}"}}], pace: {{}}}}
routes:
  - {{upstream: provider}}
access_log: {{path: "{folder}/access.log"}}
admin: {{address: "127.0.0.1:{admin}"}}
"""


class Fleet(NamedTuple):
    """A way to share the quota."""

    name: str
    title: str
    start: Callable[[Path, int, float], Any]
    """Is given a folder, the provider's port and its calls a second; a context with the ports."""
    level: float
    """How full the provider's buckets are at first: about as they are after minutes, so that what
    is used is what is refilled."""


@contextmanager
def _alone(folder: Path, provider: int, rate: float) -> Iterator[list[int]]:
    yield [provider] * SIDES


@contextmanager
def _sidecars(folder: Path, provider: int, rate: float) -> Iterator[list[int]]:
    ports = free_ports(2 * SIDES)
    started: list[Process] = []
    try:
        for number, (port, admin) in enumerate(zip(ports[:SIDES], ports[SIDES:], strict=True)):
            place = folder / str(number)
            place.mkdir()
            config = place / "sidecar.yaml"
            config.write_text(
                _SIDECAR.format(port=port, admin=admin, provider=provider, folder=place)
            )
            command = [str(SIDECAR_PYTHON.parent / "sidecar"), "run", "-c", str(config)]
            started.append(Process(command, place / "output.log", core=number % 2))
            if number % _AT_ONCE == _AT_ONCE - 1:
                _await(ports[number - _AT_ONCE + 1 : number + 1])
        yield ports[:SIDES]
    finally:
        for process in started:
            process.stop()


@contextmanager
def _local_limits(folder: Path, provider: int, rate: float) -> Iterator[list[int]]:
    """One Envoy with a listener and a limit for each client: they have nothing in common."""
    ports = free_ports(SIDES)
    (folder / "quota.yaml").write_text(json.dumps(_envoy(ports, provider, rate / SIDES)))
    place = Place(folder, 0, (), configs=folder)
    with Process(envoy(place, "quota.yaml"), folder / "output.log"):
        _await(ports)
        yield ports


FLEETS: Final = (
    Fleet("sidecar", "a sidecar each, paced", _sidecars, 0.4),
    Fleet("envoy", "Envoy's local rate limit, a fiftieth each", _local_limits, 0.5),
    Fleet("alone", "no proxy: SDKs that retry", _alone, 0.0),
)


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody uses now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextmanager
def provider(requests: float, tokens: float, level: float) -> Iterator[int]:
    """A provider's process with that quota a minute; its port."""
    numbers = map(str, (requests, tokens, level))
    command = [sys.executable, "-m", "bench.sharing.server", *numbers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _await(ports: list[int]) -> None:
    end = time.monotonic() + _READY_WITHIN
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def _envoy(ports: list[int], provider: int, rate: float) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    always = {"default_value": {"numerator": 100}}
    limit = {
        "@type": f"{types}.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "quota",
        "token_bucket": {
            "max_tokens": _BURST,
            "tokens_per_fill": _BURST,
            "fill_interval": f"{_BURST / rate:.3f}s",
        },
        "filter_enabled": {"runtime_key": "enabled", **always},
        "filter_enforced": {"runtime_key": "enforced", **always},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "600s"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "calls",
        "route_config": {"virtual_hosts": [{"name": "calls", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            },
        ],
    }
    name = "envoy.filters.network.http_connection_manager"
    chains = [{"filters": [{"name": name, "typed_config": manager}]}]
    listeners = [
        {"name": f"l{port}", "address": _at(port), "filter_chains": chains} for port in ports
    ]
    endpoint = {"endpoint": {"address": _at(provider)}}
    cluster = {
        "name": "provider",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "provider",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
    return {"static_resources": {"listeners": listeners, "clusters": [cluster]}}


def _at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
