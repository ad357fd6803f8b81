"""Mode capture as a pod has it: the injected containers, one after the other, with the user, the
capabilities, volumes and network that the kubelet would give them; then calls through the sidecar.
"""

from __future__ import annotations

import http.server
import json
import os
import shlex
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import dockerfile
import pytest
import yaml
from chart import ROOT
from corpus import pod as pod_of
from dockerfile import Image

Tree = dict[str, Any]

ORIGIN, POD = "198.18.1.1", "198.18.1.2"
POLICY = {
    "listeners": [{"mode": "capture", "address": "localhost:14003"}],
    "upstreams": {
        "llm": {
            "endpoints": [{"url": "https://llm.test"}],
            "tls": {"ca": "/etc/llm-sidecar/origin.pem"},
        }
    },
    "routes": [{"match": {"host": "llm.test"}, "upstream": "llm"}],
}
CALL = """
import ssl, sys, urllib.request
trust = ssl.create_default_context(cafile=sys.argv[2] if len(sys.argv) > 2 else None)
print(urllib.request.urlopen(sys.argv[1], context=trust, timeout=10).read().decode())
"""


class Origin(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Pod:
    """Containers that share a network and volumes; each has the image's root, read-only."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.folder = folder
        self.network = 0
        pod = pod_of("containers: [{name: app, image: a}]")
        settings = "--set mode=capture --set config-map=policy"
        done = subprocess.run(
            self._inside({}, f"sidecar inject - {settings}"),
            input=json.dumps(pod),
            capture_output=True,
            text=True,
            check=True,
        )
        spec = yaml.safe_load(done.stdout)["spec"]
        self.containers = {c["name"]: c for c in spec["initContainers"] + spec["containers"]}
        for volume in spec["volumes"]:
            self.volume(volume["name"]).mkdir()
            self.volume(volume["name"]).chmod(0o777)  # as an emptyDir is
        folder.joinpath("hosts").write_text(f"127.0.0.1 localhost\n{ORIGIN} llm.test other.test\n")

    def volume(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str) -> subprocess.Popen[str]:
        container = self.containers[name]
        command = container.get("command", self.image.entrypoint) + container.get("args", [])
        started = self._inside(container, f"exec {shlex.join(command)}")
        pipe = subprocess.PIPE
        return subprocess.Popen(
            started, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def run(self, name: str) -> str:
        started = self.start(name)
        said, _ = started.communicate(timeout=60)
        assert started.returncode == 0, said
        return said

    def call(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As the application would: another user, with what was injected into its environment."""
        app = {**self.containers["app"], "securityContext": {"runAsUser": 1000}}
        python = ["/opt/llm-sidecar/bin/python3", "-c", CALL, url, *arguments]
        command = self._inside(app, f"exec {shlex.join(python)}")
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _inside(self, container: Tree, script: str) -> list[str]:
        root = self.image.root
        steps = [f"mount --bind {root} {root}"]
        if (self.folder / "hosts").exists():
            root.joinpath("etc/hosts").touch()
            steps.append(f"mount --bind {self.folder}/hosts {root}/etc/hosts")
        for mount in container.get("volumeMounts", []):
            # /var/run leads to /run; from out here, to this machine's.
            place = f"{root}{mount['mountPath'].replace('/var/run/', '/run/')}"
            Path(place).mkdir(parents=True, exist_ok=True)  # the runtime makes them too
            steps.append(f"mount --bind {self.volume(mount['name'])} {place}")
            if mount.get("readOnly"):
                steps.append(f"mount -o remount,ro,bind {place}")
        steps += [f"mount -o remount,ro,bind {root}", f"mount -t proc proc {root}/proc"]
        environment = self.image.environment | {
            # What a kubelet would take from the pod matters to no call.
            variable["name"]: variable.get("value", "from-the-pod")
            for variable in container.get("env", [])
        }
        enter = ["chroot", str(root), "setpriv", *rights(container.get("securityContext", {}))]
        enter += ["env", "-i", *(f"{k}={v}" for k, v in environment.items()), "sh", "-c", script]
        whole = " && ".join([*steps, f"exec {shlex.join(enter)}"])
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", whole]
        return [
            *(["nsenter", f"--net=/proc/{self.network}/ns/net"] if self.network else []),
            *apart,
        ]


def rights(context: Tree) -> list[str]:
    """What a runtime makes of a securityContext."""
    user = str(context.get("runAsUser", 1414))
    added = context.get("capabilities", {}).get("add", [])
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in added)])
    made = [f"--reuid={user}", f"--regid={user}", "--clear-groups", f"--bounding-set={kept}"]
    return made if context.get("allowPrivilegeEscalation", False) else [*made, "--no-new-privs"]


@contextmanager
def network_of(pod: Pod) -> Iterator[None]:
    """A network of the pod's own, with a wire to this one."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    own = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
        time.sleep(0.01)
    pod.network = holder.pid
    inside = f"nsenter --net=/proc/{holder.pid}/ns/net ip"
    try:
        for command in (
            f"ip link add out type veth peer name in netns {holder.pid}",
            f"ip address add {ORIGIN}/24 dev out",
            "ip link set out up",
            f"{inside} address add {POD}/24 dev in",
            f"{inside} link set in up",
            f"{inside} link set lo up",
        ):
            subprocess.run(command.split(), check=True)
        yield
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def origin(certificate: Path, key: Path) -> Iterator[None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer((ORIGIN, 443), Origin)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """Its init containers have run, and its sidecar serves."""
    for reason in ("NO_IMAGE", "NO_NETWORK"):
        if reason in os.environ:
            pytest.skip(os.environ[reason])
    image = dockerfile.described(ROOT / "Dockerfile", Path(os.environ["IMAGE_FOLDER"], "image"))
    pod = Pod(image, tmp_path_factory.mktemp("pod"))
    config = pod.volume("llm-sidecar-config")
    certificate, key = config / "origin.pem", pod.folder / "origin.key"
    names = "subjectAltName=DNS:llm.test,DNS:other.test"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make += ["-nodes", "-days", "2", "-subj", "/CN=origin", "-addext", names]
    make += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    config.joinpath("sidecar.yaml").write_text(json.dumps(POLICY))
    with network_of(pod), origin(certificate, key):
        assert "llm_sidecar" in pod.run("llm-sidecar-redirect")
        pod.run("llm-sidecar-trust")
        sidecar = pod.start("llm-sidecar")
        try:
            wait_until_ready(pod)
            yield pod
        finally:
            os.killpg(sidecar.pid, signal.SIGTERM)
            said, _ = sidecar.communicate(timeout=30)
            assert '"message":"stopped"' in said


def wait_until_ready(pod: Pod) -> None:
    """As the kubelet does, from outside."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        with suppress(OSError):
            if urlopen(f"http://{POD}:14011/ready", timeout=1).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the sidecar is not ready")


def test_a_call_to_an_llm_goes_through_the_sidecar(pod: Pod) -> None:
    Origin.seen.clear()
    done = pod.call("https://llm.test/v1/models")
    assert (done.stdout, done.stderr) == ("hello\n", "")
    assert "traceparent" in Origin.seen[-1], "which an application never sent"


def test_all_else_passes_untouched(pod: Pod) -> None:
    """The application sees the other server's own certificate."""
    Origin.seen.clear()
    public = pod.volume("llm-sidecar-ca")
    public.joinpath("other.pem").write_bytes(
        pod.volume("llm-sidecar-config").joinpath("origin.pem").read_bytes()
    )
    done = pod.call("https://other.test/", "/var/run/llm-sidecar/ca/other.pem")
    assert (done.stdout, done.stderr) == ("hello\n", "")
    assert "traceparent" not in Origin.seen[-1]


def test_only_the_sidecar_has_the_key(pod: Pod) -> None:
    state = pod.volume("llm-sidecar-state")
    keys = [file for file in state.rglob("*") if file.is_file() and b"PRIVATE" in file.read_bytes()]
    assert [(key.stat().st_uid, key.stat().st_mode & 0o777) for key in keys] == [(1414, 0o600)]
    shared = pod.volume("llm-sidecar-ca")
    assert {file.name for file in shared.iterdir()} >= {"bundle.pem", "truststore.p12"}
    assert not [file for file in shared.iterdir() if b"PRIVATE" in file.read_bytes()]
    assert shared.joinpath("bundle.pem").read_bytes().count(b"BEGIN CERTIFICATE") > 100
