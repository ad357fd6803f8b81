"""The chart: linted and rendered by Helm's own code, judged by the schemas of Kubernetes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from chart import CHART, ROOT, example, find, manifests, rendered
from corpus import corpus
from matrix import MATRIX, REFUSED

Tree = dict[str, Any]

OLDEST, NEWEST = "1.29", "1.37"
"""What the chart's kubeVersion begins with, and the newest whose schemas there are."""
EVERY = pytest.mark.parametrize("values", MATRIX.values(), ids=[*MATRIX])
VERSIONS = pytest.mark.parametrize("version", [OLDEST, NEWEST])
FOREIGN = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "Certificate", "Issuer"}
"""Kinds of other people's operators: no schema of Kubernetes has them."""
SHOWN = ["defaults", "mixed", "cert-manager", "strict"]
SIDECAR = ROOT / ".venv" / "bin" / "sidecar"


def test_the_range_is_what_the_chart_says() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"
    assert kubernetes_validate.latest_version().startswith(NEWEST)


@EVERY
def test_lint(values: Tree) -> None:
    found = helm_python.lint(str(CHART), values, strict=True, namespace="x")
    worse = [m for m in found["messages"] if m["error"] != "icon is recommended"]
    assert (worse, found["errors"]) == ([], [])


@EVERY
@VERSIONS
def test_manifests_fit_the_schemas(values: Tree, version: str) -> None:
    trees = manifests(values)
    assert len(trees) >= 7
    for tree in trees:
        if tree["kind"] not in FOREIGN:
            kubernetes_validate.validate(tree, version, strict=True)


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=[*REFUSED])
def test_what_is_refused(values: Tree, message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        rendered(values)


@pytest.mark.parametrize("name", SHOWN)
def test_snapshots(name: str) -> None:
    """Read them. Write them anew with `SNAPSHOTS=write make test-kube`."""
    file = Path(__file__).parent / "snapshots" / f"{name}.yaml"
    text = rendered(MATRIX[name]) + "\n"
    if os.environ.get("SNAPSHOTS") == "write":
        file.write_text(text)
    assert text == file.read_text()


def test_all_names_follow_the_release() -> None:
    """Two releases have nothing of one name, so that they don't fight over it."""
    one, other = (
        {(t["kind"], t["metadata"]["name"], t["metadata"].get("namespace")) for t in made}
        for made in (manifests(MATRIX["mixed"], name=name) for name in ("one", "other"))
    )
    assert len(one) == len(other)
    assert not one & other


def test_the_injector_may_do_little() -> None:
    trees = manifests({})
    rules = [r for t in trees if t["kind"] in ("Role", "ClusterRole") for r in t["rules"]]
    assert [(r["resources"], r["resourceNames"], r["verbs"]) for r in rules] == [
        (["secrets"], ["llm-sidecar-injector-certificate"], ["get", "update"]),
        (["mutatingwebhookconfigurations"], ["llm-sidecar-injector"], ["get", "patch"]),
    ]
    for values in (MATRIX["secret"], MATRIX["cert-manager"]):
        without = manifests(values)
        assert not {t["kind"] for t in without} & {"Role", "ClusterRole", "Secret"}
        pod = find(without, "Deployment", "llm-sidecar-injector")["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False


def test_the_webhooks_share_out_all_pods() -> None:
    """Each namespace and pod, by their labels, is looked at by one of them or by none."""
    hooks = find(manifests({}), "MutatingWebhookConfiguration", "llm-sidecar-injector")["webhooks"]
    for inject in (None, "enabled", "disabled"):
        for own in (None, "enabled", "disabled"):
            for security in (None, "privileged", "baseline", "restricted"):
                labels = {
                    "llm-sidecar/inject": inject,
                    "pod-security.kubernetes.io/enforce": security,
                }
                asked = [
                    hook["clientConfig"]["service"]["path"]
                    for hook in hooks
                    if selected(hook["namespaceSelector"], labels)
                    and selected(hook["objectSelector"], {"llm-sidecar/inject": own})
                ]
                wanted = own == "enabled" or (inject == "enabled" and own != "disabled")
                guarded = security in ("baseline", "restricted")
                path = "/inject/no-net-admin" if guarded else "/inject"
                assert asked == ([path] if wanted else [])


def selected(selector: Tree, labels: dict[str, str | None]) -> bool:
    """What `matchExpressions` means (Kubernetes, LabelSelector)."""
    return all(
        (labels.get(rule["key"]) in rule["values"]) is (rule["operator"] == "In")
        for rule in selector["matchExpressions"]
    )


@VERSIONS
def test_injected_pods_of_all_shapes_fit_the_schemas(version: str, tmp_path: Path) -> None:
    future = "fields from the future"
    pods = [pod for name, pod in corpus().items() if "metadata" in pod and name != future]
    file = tmp_path / "pods.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": pods}))
    for mode in ("base-url", "proxy", "capture"):
        for lifecycle in ("native", "classic"):
            settings = [f"mode={mode}", f"lifecycle={lifecycle}", "config-map=c", "secret=s"]
            arguments = [each for setting in settings for each in ("--set", setting)]
            done = subprocess.run(
                [SIDECAR, "inject", file, *arguments], capture_output=True, check=True, text=True
            )
            items = yaml.safe_load(done.stdout)["items"]
            assert len(items) == len(pods)
            for pod in items:
                assert "llm-sidecar/status" in pod["metadata"]["annotations"]
                kubernetes_validate.validate(pod, version, strict=True)


@VERSIONS
@pytest.mark.parametrize("name", ["application", "cronjob", "statefulset"])
def test_example_applications(name: str, version: str) -> None:
    file = CHART / "examples" / f"{name}.yaml"
    done = subprocess.run([SIDECAR, "inject", file], capture_output=True, check=True, text=True)
    for text in (file.read_text(), done.stdout):
        for tree in yaml.safe_load_all(text):
            kubernetes_validate.validate(tree, version, strict=True)
    assert done.stdout.count("startupProbe:") == 1
    assert done.stderr == ""


def test_the_examples_keep_keys_out_of_the_policy() -> None:
    for name in ("openai", "mixed"):
        for upstream in example(name)["policy"]["upstreams"].values():
            for key in upstream.get("credentials", {}).values():
                assert "sk-" not in key
