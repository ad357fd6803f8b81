"""The sidecar as a pod runs it: the injected arguments, the kubelet's probes, its swap of files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.cli import main
from sidecar.kube.names import CONFIG_FILE, HEALTH_PORT
from sidecar.kube.patch import inject
from sidecar.kube.settings import Settings
from tests.kube.corpus import corpus
from tests.test_app import free_port

OTHER = {"admin": {"address": None}, "log_level": "error"}


class ConfigMap:
    """A mounted one, changed as the kubelet's AtomicWriter does it."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.count = 0
        self.swap(text)
        (folder / "sidecar.yaml").symlink_to("..data/sidecar.yaml")

    def swap(self, text: str) -> None:
        """Write a new folder, lead `..data` to it by a rename, remove the old one."""
        data = self.folder / "..data"
        old = self.folder / os.readlink(data) if data.is_symlink() else None
        self.count += 1
        new = self.folder / f"..2026_11_24_10_00_{self.count:02}.123456789"
        new.mkdir()
        (new / "sidecar.yaml").write_text(text)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(data)
        if old is not None:
            shutil.rmtree(old)


class Pod:
    """A sidecar with the arguments of an injected container, but ports and paths of this test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port, self.health = free_port(), free_port()
        self.config_map = ConfigMap(folder, self.policy("first"))
        self.process: asyncio.subprocess.Process

    def policy(self, route: str, **settings: Any) -> str:
        return json.dumps(
            {
                "listeners": [{"address": f"127.0.0.1:{self.port}"}],
                "upstreams": {"u": {"endpoints": [{"url": "http://127.0.0.1:9"}]}},
                "routes": [{"name": route, "upstream": "u"}],
                **OTHER,
                **settings,
            }
        )

    async def start(self) -> None:
        settings = Settings(config_map="policy", log_level="debug")
        ours = inject(corpus()["plain"], settings).pod["spec"]["initContainers"][0]
        places = {str(HEALTH_PORT): str(self.health)}
        places[CONFIG_FILE] = str(self.config_map.folder / "sidecar.yaml")
        arguments = [places.get(argument, argument) for argument in ours["args"]]
        assert set(places) <= set(ours["args"])
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", *arguments, stderr=asyncio.subprocess.PIPE
        )

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.health}{path}") as reply:
                    return reply.status, await reply.text()
            except aiohttp.ClientConnectionError:
                return 0, ""

    async def until(self, path: str, text: str) -> None:
        async with asyncio.timeout(20):
            while text not in (await self.get(path))[1]:
                pass


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Pod]:
    pod = Pod(folder / "config")
    await pod.start()
    try:
        await pod.until("/ready", "true")
        yield pod
    finally:
        if pod.process.returncode is None:
            pod.process.kill()
        await pod.process.communicate()


async def test_probes_answer_though_no_llm_does(tmp_path: Path) -> None:
    async with started(tmp_path) as pod:
        assert (await pod.get("/ready"))[0] == 200
        assert (await pod.get("/live"))[0] == 200
        assert await asyncio.to_thread(main, ["ready", "--port", str(pod.health)]) == 0


def test_not_ready_where_nothing_listens() -> None:
    assert main(["ready", "--port", str(free_port())]) == 1


async def test_a_changed_config_map_is_served_without_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as pod:
        for route in ("second", "third"):
            pod.config_map.swap(pod.policy(route))
            await pod.until("/metrics", 'sidecar_reloads_total{result="accepted"}')
            await pod.until("/metrics", f'route="{route}"')
        assert pod.process.returncode is None
        assert (await pod.get("/ready"))[0] == 200, "the health port outlives the reloads"


async def test_a_bad_config_map_changes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as pod:
        pod.config_map.swap("routes: []")
        await pod.until("/metrics", 'sidecar_reloads_total{result="rejected"} 1.0')
        assert (await pod.get("/ready"))[0] == 200
        pod.config_map.swap(pod.policy("second"))
        await pod.until("/metrics", 'route="second"')


async def test_it_ends_at_once_when_the_application_has_gone(tmp_path: Path) -> None:
    """Native order: the kubelet tells us last, with nothing in flight."""
    async with started(tmp_path) as pod:
        pod.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            _, said = await pod.process.communicate()
        assert pod.process.returncode == 0
        assert '"message":"stopped"' in said.decode(), "its level is the injected one"


def test_wrong_arguments() -> None:
    assert main(["run", "--health-port", "http"]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["run", "--log-level", "loud"])
    assert ended.value.code == 2
