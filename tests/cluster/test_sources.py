"""A sidecar that follows a ConfigMap through a real API server."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import ROOT
from cluster import Cluster, free_port, process, until

Tree = dict[str, Any]
SIDECAR = str(ROOT / ".venv" / "bin" / "sidecar")


def policy(retries: object, admin: int) -> str:
    return yaml.safe_dump(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "upstreams": {"u": {"endpoints": [{"url": "http://127.0.0.1:1"}]}},
            "routes": [{"upstream": "u"}],
            "policies": {"default": {"retry": {"max": retries}}},
            "admin": {"address": f"127.0.0.1:{admin}"},
            "access_log": {"path": None},
        }
    )


@pytest.fixture
def source(api_server: Cluster, tmp_path: Path) -> str:
    """The URL, for a service account that may read this ConfigMap and no other."""
    api_server.namespace("policies")
    api_server.account("policies", "reader")
    place = {"name": "reader", "namespace": "policies"}
    kind = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["llm"]}
    rule["verbs"] = ["get", "list", "watch"]
    version = f"{kind}/v1"
    api_server.apply({"apiVersion": version, "kind": "Role", "metadata": place, "rules": [rule]})
    api_server.apply(
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": place,
            "roleRef": {"apiGroup": kind, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", **place}],
        }
    )
    token = api_server.ok("kubectl", "create", "token", "reader", "-n", "policies")
    (tmp_path / "token").write_text(token)
    server, ca = f"https://127.0.0.1:{api_server.port}", api_server.folder / "pki/apiserver.crt"
    query = f"server={server}&ca={ca}&token_file={tmp_path}/token"
    return f"k8s://policies/llm/sidecar.yaml?{query}"


def put(cluster: Cluster, text: str) -> None:
    place = {"name": "llm", "namespace": "policies"}
    data = {"sidecar.yaml": text}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": data})


def test_a_config_map_is_followed(api_server: Cluster, source: str, tmp_path: Path) -> None:
    admin = free_port()

    def shown() -> Tree:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/config") as reply:
            tree: Tree = json.loads(reply.read())
            return tree

    def retries() -> object:
        return shown()["config"]["policies"]["default"]["retry"]["max"]

    put(api_server, policy(1, admin))
    command = [SIDECAR, "run", "-c", source]
    with process(tmp_path / "log", command, SIDECAR_STATE=str(tmp_path / "state")):
        until(lambda: retries() == 1, "the sidecar serves")
        put(api_server, policy(2, admin))
        until(lambda: retries() == 2, "a change serves")
        put(api_server, policy("many", admin))
        until(lambda: shown()["last_error"], "a bad one is refused")
        assert "k8s://policies/llm/sidecar.yaml:" in shown()["last_error"]
        assert retries() == 2
        put(api_server, policy(3, admin))
        until(lambda: retries() == 3, "the next one serves")
        assert shown()["last_error"] is None


def test_check_says_what_is_wrong(api_server: Cluster, source: str) -> None:
    put(api_server, policy(1, 0))
    good = subprocess.run([SIDECAR, "check", source], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    other = source.replace("/llm/", "/other/")
    bad = subprocess.run([SIDECAR, "check", other], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "403" in bad.stderr  # its role names one ConfigMap
