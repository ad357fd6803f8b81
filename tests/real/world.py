"""A small internet in namespaces, a sidecar in front of it, and programs that know of neither."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from netns import SERVER, SERVER_V6, Namespace, Wire, wire
from process import ROOT

OWNER: Final = 1414
HERE: Final = Path(__file__).parent
PYTHON: Final = str(ROOT / ".venv" / "bin" / "python")
SIDECAR: Final = str(ROOT / ".venv" / "bin" / "sidecar")
BOTH: Final = (SERVER, SERVER_V6)
BODY: Final = json.dumps({"model": "m", "messages": [{"role": "user", "content": "tell"}]})


class World:
    """`inside` has programs and the sidecar, `outside` the servers."""

    def __init__(self, network: Wire, folder: Path, java: str) -> None:
        self.inside: Namespace = network.inside
        self.outside: Namespace = network.outside
        self.folder = folder
        self.roots = folder / "origin-ca.pem"
        self._java = java

    def requests(self) -> list[dict[str, Any]]:
        """What the servers were asked since this was last called."""
        log = self.folder / "requests.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        return [json.loads(line) for line in lines]

    @contextlib.contextmanager
    def sidecar(self, user: int = OWNER, **intercept: object) -> Iterator[None]:
        """Run one. Of its two endpoints one always fails."""
        config = self.config(**intercept)
        with self.inside.running(SIDECAR, "run", "-c", str(config), user=user):
            self._await()
            yield

    def config(self, **intercept: object) -> Path:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        os.chown(state, OWNER, OWNER)
        endpoints = [{"url": "https://broken.test"}, {"url": "https://api.openai.com"}]
        config = {
            "listeners": [
                {"address": "127.0.0.1:14001"},
                {"mode": "forward", "address": "127.0.0.1:14002"},
                {"mode": "capture", "address": "localhost:14003"},
            ],
            "upstreams": {"openai": {"endpoints": endpoints, "tls": {"ca": str(self.roots)}}},
            "routes": [
                {"match": {"host": "api.openai.com"}, "upstream": "openai"},
                {"match": {"path": "/v1/"}, "upstream": "openai"},
            ],
            "policies": {"default": {"breaker": None}},
            "intercept": {
                "ca": str(state / "ca"),
                "allow": ["198.18.0.0/15", "fd77::/64"],
                **intercept,
            },
            "access_log": {"path": None},
            "drain": "1s",
        }
        file = self.folder / "sidecar.yaml"
        file.write_text(json.dumps(config))
        return file

    def _await(self) -> None:
        end = time.monotonic() + 20
        while self.inside.run("curl", "-sf", "http://127.0.0.1:14010/live", ok=False).returncode:
            assert time.monotonic() < end, "the sidecar does not start"
            time.sleep(0.05)

    @contextlib.contextmanager
    def redirected(self, *arguments: str) -> Iterator[None]:
        """Have the kernel redirect connections meanwhile."""
        self.inside.run(SIDECAR, "redirect", "install", *arguments)
        try:
            yield
        finally:
            self.inside.run(SIDECAR, "redirect", "remove")

    def environ(self, mode: str) -> dict[str, str]:
        """What `sidecar env` says, to a user who trusts the servers' CA."""
        env = {**os.environ, "SSL_CERT_FILE": str(self.roots), "XDG_STATE_HOME": str(self.folder)}
        printed = self.inside.run(SIDECAR, "env", "--mode", mode, env=env).stdout
        (self.folder / "llm-sidecar").chmod(0o755)
        (self.folder / "llm-sidecar" / "trust").chmod(0o755)
        lines = [shlex.split(line)[1] for line in printed.splitlines()]
        return dict(line.split("=", 1) for line in lines)

    def distrusting(self) -> dict[str, str]:
        """The environment of a user who trusts the servers' CA, and ours not."""
        roots = str(self.roots)
        store = self.folder / "origin.p12"
        if not store.exists():
            import_it = "-importcert -noprompt -storetype PKCS12 -storepass changeit -alias a"
            command = f"keytool {import_it} -keystore {store} -file {roots}"
            subprocess.run(command.split(), check=True, capture_output=True)
        trusted = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        return {**dict.fromkeys(names, roots), "JAVA_TOOL_OPTIONS": trusted}

    def program(self, name: str, base: str, mode: str = "capture") -> list[str]:
        """A program that makes calls; *base* is what it is told or takes for granted."""
        url = f"{base}/chat/completions"
        if name in ("openai", "requests"):
            return [sys.executable, str(HERE / "unaware.py"), name]
        if name == "node":
            proxy = ["--import", str(HERE / "node" / "proxy.mjs")] if mode == "proxy" else []
            return ["node", *proxy, str(HERE / "node" / "client.mjs"), base, "m", "whole"]
        if name == "java":
            flags = ["-XX:TieredStopAtLevel=1", "-cp", self._java]
            return ["java", *flags, "Client", url, "default", "whole", BODY]
        header = ["-H", "content-type: application/json"]
        return ["curl", "-sS", "--fail", url, *header, "-d", BODY, url, "-d", BODY]

    def runs(
        self, name: str, env: dict[str, str], mode: str = "capture", user: int = 0, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program by its name."""
        base = env.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
        return self.runs_command(self.program(name, base, mode), env, user=user, ok=ok)

    def runs_command(
        self, command: list[str], env: dict[str, str], user: int = 0, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run *command*, with nothing of this machine's proxies in its way."""
        clean = {k: v for k, v in os.environ.items() if not re.search("(?i)proxy|_CA_|_CERT", k)}
        environ = {**clean, "OPENAI_API_KEY": "test-key", "HOME": "/tmp", **env}
        return self.inside.run(*command, user=user, ok=ok, env=environ)

    def decisions(self, port: str) -> dict[str, int]:
        """What became of the connections to the listener at *port*."""
        found = self.inside.run("curl", "-s", "http://127.0.0.1:14010/metrics").stdout
        labels = rf'{{decision="(\w+)",listener="[^"]*:{port}"}}'
        pattern = rf"sidecar_listener_decisions_total{labels} (\S+)"
        return {name: int(float(count)) for name, count in re.findall(pattern, found)}


@contextlib.contextmanager
def world(folder: Path, java: str) -> Iterator[World]:
    """Make one, with its servers serving."""
    os.chmod(folder, 0o755)
    names = dict.fromkeys(("api.openai.com", "broken.test", "other.test"), BOTH)
    with wire(names) as network, contextlib.ExitStack() as stack:
        made = World(network, folder, java)
        for command in (
            [PYTHON, str(HERE.parent / "origin.py"), str(folder)],
            ["node", str(HERE / "node" / "h2.mjs"), "serve", str(folder / "origin.pem")],
        ):
            child = stack.enter_context(network.outside.running(*command))
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield made
