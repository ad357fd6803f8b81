"""A real API server on etcd, kubectl and helm to talk to it, and the injector beside it.

There is no kubelet and no controller: pods are made, seen and never run. Where a cluster would lead
the injector's Service to its pods, an EndpointSlice of our own leads it to a process here.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml
from chart import CHART, NAME, NAMESPACE, ROOT

Tree = dict[str, Any]

INJECTOR: Final = f"{NAME}-injector"
ADDRESS: Final = os.environ.get("KUBE_ADDRESS", "")
_TOKEN: Final = "administrator"
_WITHIN: Final = 60.0


def until(seen: Callable[[], object], what: str) -> None:
    """Wait until *seen* is true; it may fail until then."""
    ends = time.monotonic() + _WITHIN
    while time.monotonic() < ends:
        with suppress(OSError, subprocess.CalledProcessError, KeyError):
            if seen():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {_WITHIN:.0f} s: {what}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def tool(name: str) -> str:
    """A program of KUBEBUILDER_ASSETS, of those that were built, or of the system."""
    for folder in (os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("KUBE_TOOLS")):
        if folder and (Path(folder) / name).exists():
            return str(Path(folder) / name)
    return name


@contextmanager
def process(log: Path, command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        started = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **environment}
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


class Cluster:
    """Everything that a test asks of the API server goes through kubectl or helm."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.config = folder / "kubeconfig"
        self._write_config()

    def _write_config(self) -> None:
        ca = str(self.folder / "pki" / "apiserver.crt")
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": ca}
        tree = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        self.config.write_text(json.dumps(tree))

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        name, *rest = arguments
        return subprocess.run(
            [tool(name), *rest],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "KUBECONFIG": str(self.config),
                "HOME": str(self.folder),
            },
        )

    def ok(self, *arguments: str, given: str = "") -> str:
        """What a command that must succeed has said."""
        done = self.run(*arguments, given=given)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *what: str) -> Tree:
        tree: Tree = json.loads(self.ok("kubectl", "get", *what, "-o", "json"))
        return tree

    def create(self, tree: Tree, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("kubectl", "create", "-f", "-", *arguments, given=json.dumps(tree))

    def created(self, tree: Tree, *arguments: str) -> Tree:
        """The object as the API server has made it."""
        done = self.create(tree, "-o", "json", *arguments)
        assert done.returncode == 0, done.stderr
        made: Tree = json.loads(done.stdout)
        return made

    def apply(self, tree: Tree) -> None:
        self.ok("kubectl", "apply", "-f", "-", given=json.dumps(tree))

    def namespace(self, name: str, **labels: str) -> None:
        """With the service account that a controller would make."""
        marks = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}}
        )
        self.account(name, "default")

    def account(self, namespace: str, name: str) -> None:
        place = {"name": name, "namespace": namespace}
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place})

    def helm(self, *arguments: str, values: Tree | None = None) -> str:
        """A command about our release."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        return self.ok("helm", *arguments, "-n", NAMESPACE, *(["-f", str(file)] if values else []))

    def upgrade(self, values: Tree) -> str:
        return self.helm("upgrade", "--install", NAME, str(CHART), values=values)

    @contextmanager
    def job(self, name: str) -> Iterator[list[str]]:
        """Do a Job's work as soon as it is there, as a controller and a kubelet would.

        Yields what its containers say, which is complete at the end.
        """
        said: list[str] = []
        with ThreadPoolExecutor() as pool:
            working = pool.submit(self._work, name, said)
            yield said
            working.result()

    def _work(self, name: str, said: list[str]) -> None:
        what = ("job", name, "-n", NAMESPACE)

        def waits() -> bool:
            done = self.run("kubectl", "get", *what, "-o", "jsonpath=waits{.status.conditions}")
            return done.stdout == "waits"

        until(waits, "the Job is there")
        spec = self.get(*what)["spec"]["template"]["spec"]
        (volume,), failed = spec["volumes"], False
        with TemporaryDirectory() as folder:
            data = self.get("configmap", volume["configMap"]["name"], "-n", NAMESPACE)["data"]
            for key, text in data.items():
                Path(folder, key).write_text(text)
            for container in spec["containers"]:
                (mount,) = container["volumeMounts"]
                place = mount["mountPath"]
                command = [each.replace(place, folder) for each in container["args"]]
                done = self.run(str(ROOT / ".venv" / "bin" / "sidecar"), *command)
                said.append((done.stdout + done.stderr).replace(folder, place))
                failed |= done.returncode != 0
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ends = ("FailureTarget", "Failed") if failed else ("SuccessCriteriaMet", "Complete")
        status = {"startTime": now, "failed" if failed else "succeeded": 1} | {
            "conditions": [
                {"type": each, "status": "True", "lastTransitionTime": now} for each in ends
            ],
            **({} if failed else {"completionTime": now}),
        }
        changes = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        self.ok("kubectl", "patch", *what, *changes)

    # -- the injector --

    def bundle(self) -> str:
        """The CA of all webhooks; empty while only some of them have the newest."""
        kinds = ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")
        hooks = [hook for kind in kinds for hook in self.get(kind, INJECTOR)["webhooks"]]
        found = [hook["clientConfig"].get("caBundle", "") for hook in hooks]
        return str(found[0]) if len({*found}) == 1 else ""

    @contextmanager
    def injector(self) -> Iterator[subprocess.Popen[bytes]]:
        """As its Deployment says, but for ports and folders, which a process here shares."""
        container = self.get("deployment", INJECTOR, "-n", NAMESPACE)["spec"]["template"]["spec"][
            "containers"
        ][0]
        account, settings = self._mounted()
        port, health = free_port(), free_port()
        arguments = [
            argument.replace("/etc/llm-sidecar/", f"{settings}/") for argument in container["args"]
        ]
        command = [str(ROOT / ".venv" / "bin" / "sidecar"), *arguments]
        command += ["--port", str(port), "--health-port", str(health)]
        command += ["--service-account", str(account)]
        place = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}
        with process(self.folder / "injector.log", command, **place) as started:
            self.lead(port)
            ready = f"http://127.0.0.1:{health}/ready"
            until(lambda: urllib.request.urlopen(ready).status == 200, "the injector is ready")
            yield started

    def _mounted(self) -> tuple[Path, Path]:
        """What the kubelet would mount: the service account, the settings."""
        account, settings = self.folder / "account", self.folder / "settings"
        account.mkdir(exist_ok=True)
        settings.mkdir(exist_ok=True)
        token = self.ok("kubectl", "create", "token", INJECTOR, "-n", NAMESPACE)
        account.joinpath("token").write_text(token)
        account.joinpath("namespace").write_text(NAMESPACE)
        ca = self.folder / "pki" / "apiserver.crt"
        account.joinpath("ca.crt").write_text(ca.read_text())
        data = self.get("configmap", INJECTOR, "-n", NAMESPACE)["data"]
        settings.joinpath("defaults.yaml").write_text(data["defaults.yaml"])
        return account, settings

    def lead(self, port: int) -> None:
        """Lead the Service to a port of this network."""
        self.apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": INJECTOR,
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": INJECTOR},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
                "ports": [{"name": "reviews", "port": port, "protocol": "TCP"}],
            }
        )


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """etcd and an API server, with what is on by default in a cluster."""
    client, peer, port = free_port(), free_port(), free_port()
    etcd = f"http://127.0.0.1:{client}"
    with process(
        folder / "etcd.log",
        [
            *(tool("etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        ],
    ):
        key = folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        folder.joinpath("tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
        with process(
            folder / "api.log",
            [
                *(tool("kube-apiserver"), f"--etcd-servers={etcd}"),
                *(f"--secure-port={port}", "--bind-address=127.0.0.1"),
                f"--advertise-address={ADDRESS}",
                *(f"--cert-dir={folder / 'pki'}", f"--token-auth-file={folder / 'tokens.csv'}"),
                *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
                "--service-account-issuer=https://kubernetes.default.svc",
                *("--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=RBAC"),
                "--allow-privileged=true",
                # Services are led to their endpoints, not to cluster addresses that nobody serves.
                "--enable-aggregator-routing=true",
            ],
        ):
            cluster = Cluster(folder, port)
            until(
                lambda: cluster.run("kubectl", "get", "--raw", "/readyz").stdout == "ok",
                "the API server is ready",
            )
            yield cluster
