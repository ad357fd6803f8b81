"""The chart: linted and rendered by Helm's own code, judged by the schemas of Kubernetes."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from chart import CHART, FOREIGN, NAME, ROOT, example, find, manifests, rendered
from corpus import corpus
from matrix import EXTRAS, GATEWAY, IDENTITY, MATRIX, PLACES, POLICY, REFUSED

Tree = dict[str, Any]

OLDEST, NEWEST = "1.29", "1.37"
"""What the chart's kubeVersion begins with, and the newest whose schemas there are."""
EVERY = pytest.mark.parametrize("values", MATRIX.values(), ids=[*MATRIX])
VERSIONS = pytest.mark.parametrize("version", [OLDEST, NEWEST])
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
            fits(json.dumps(tree), version)


@cache
def fits(text: str, version: str) -> None:
    """Remembered, since most value sets have most objects in common."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@EVERY
def test_selectors_find_the_pods_they_mean(values: Tree) -> None:
    """Whatever names and labels were asked for."""
    trees = manifests(values)
    pods = {
        tree["metadata"]["name"]: tree["spec"]["template"]["metadata"]["labels"]
        for tree in trees
        if tree["kind"] == "Deployment"
    }
    for tree in trees:
        spec = tree.get("spec", {})
        selector = {
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
            "Service": lambda spec: spec["selector"],
        }.get(tree["kind"])
        if selector:
            component = tree["metadata"]["labels"]["app.kubernetes.io/component"]
            found = [
                name for name, labels in pods.items() if selector(spec).items() <= labels.items()
            ]
            assert len(found) == 1
            assert found[0].endswith(component)
    for labels in pods.values():
        assert labels["llm-sidecar/inject"] == "disabled"


@EVERY
def test_all_that_is_made_is_labelled(values: Tree) -> None:
    wanted = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "helm.sh/chart"}
    common = values.get("commonLabels", {})
    for tree in manifests(values):
        labels = tree["metadata"]["labels"]
        assert {*wanted, *common} <= {*labels}
        assert labels["app.kubernetes.io/instance"] == NAME


def of_component(values: Tree, component: str) -> Tree:
    deployment = find(manifests(values), "Deployment", f"{NAME}-{component}")
    template: Tree = deployment["spec"]["template"]
    return template


@pytest.mark.parametrize("component", ["injector", "gateway"])
def test_where_pods_run_and_what_they_are_called(component: str) -> None:
    template = of_component(MATRIX["every place"], component)
    for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert template["spec"][key] == PLACES[key]
    (spread,) = template["spec"]["topologySpreadConstraints"]
    own = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": NAME}
    assert (spread["topologyKey"], spread["maxSkew"]) == ("rack", 1)
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    assert own.items() <= spread["labelSelector"]["matchLabels"].items()
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["app.kubernetes.io/name"] == NAME
    assert PLACES["podAnnotations"].items() <= template["metadata"]["annotations"].items()


def test_the_test_pod_runs_where_injectors_do() -> None:
    spec = find(manifests(MATRIX["every place"]), "Pod", f"{NAME}-test")["spec"]
    assert spec["tolerations"] == PLACES["tolerations"]
    assert spec["nodeSelector"] == PLACES["nodeSelector"]


@pytest.mark.parametrize("component", ["injector", "gateway"])
def test_extras_are_added_to_what_there_is(component: str) -> None:
    plain = of_component({"gateway": MATRIX["gateway"]["gateway"]}, component)["spec"]
    spec = of_component(MATRIX["extras"], component)["spec"]
    for key, name in (("env", "extraEnv"), ("volumeMounts", "extraVolumeMounts")):
        before = plain["containers"][0].get(key, [])
        assert spec["containers"][0][key] == before + EXTRAS[name]
    assert spec["containers"][0]["envFrom"] == EXTRAS["extraEnvFrom"]
    assert spec["volumes"] == plain["volumes"] + EXTRAS["extraVolumes"]


def test_accounts() -> None:
    trees = manifests(MATRIX["accounts of the cloud"])
    for component, account in (("injector", f"{NAME}-injector"), ("gateway", "llm")):
        assert find(trees, "ServiceAccount", account)["metadata"]["annotations"] == IDENTITY
        spec = find(trees, "Deployment", f"{NAME}-{component}")["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == account
        assert spec["automountServiceAccountToken"] is True
    trees = manifests(MATRIX["accounts of others"])
    assert "ServiceAccount" not in {tree["kind"] for tree in trees}
    for component, account in (("injector", "theirs"), ("gateway", "default")):
        spec = find(trees, "Deployment", f"{NAME}-{component}")["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == account
    bound = [tree["subjects"][0]["name"] for tree in trees if tree["kind"].endswith("Binding")]
    assert bound == ["theirs", "theirs"]


def test_a_secret_of_ones_own_for_the_gateway() -> None:
    spec = of_component(MATRIX["a gateway with a secret and a balancer"], "gateway")["spec"]
    assert {"name": "credentials", "secret": {"secretName": "keys"}} in spec["volumes"]
    mounted = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted["credentials"] == "/var/run/secrets/llm-sidecar"


def test_names_of_ones_own() -> None:
    names = {tree["metadata"]["name"] for tree in manifests(MATRIX["full name"])}
    assert {name for name in names if not name.startswith("mesh-")} == set()
    names = {tree["metadata"]["name"] for tree in manifests(MATRIX["names"], name="r")}
    assert {name for name in names if not name.startswith("r-calls-")} == set()


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
        (
            ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            ["llm-sidecar-injector"],
            ["get", "patch"],
        ),
    ]
    trees = manifests(MATRIX["policies unchecked"])
    (rule,) = [r for t in trees if t["kind"] == "ClusterRole" for r in t["rules"]]
    assert rule["resources"] == ["mutatingwebhookconfigurations"]
    assert "ValidatingWebhookConfiguration" not in {t["kind"] for t in trees}
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


def test_only_labelled_config_maps_can_be_held_up() -> None:
    trees = manifests(MATRIX["mixed"])
    (hook,) = find(trees, "ValidatingWebhookConfiguration", "llm-sidecar-injector")["webhooks"]
    assert hook["objectSelector"] == {"matchLabels": {"llm-sidecar/policy": "enabled"}}
    (rule,) = hook["rules"]
    assert (rule["resources"], rule["operations"]) == (["configmaps"], ["CREATE", "UPDATE"])
    labelled = {
        t["metadata"]["name"]
        for t in trees
        if t["metadata"]["labels"].get("llm-sidecar/policy") == "enabled"
    }
    assert labelled == {f"{NAME}-policy", f"{NAME}-gateway"}


def test_a_job_checks_the_policies_that_there_are() -> None:
    trees = manifests(MATRIX["policies checked by a job"])
    job = find(trees, "Job", f"{NAME}-check")
    containers = job["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["gateway", "policy"]
    kept = find(trees, "ConfigMap", f"{NAME}-check")
    assert {c["args"][-1].removeprefix("/etc/policies/") for c in containers} == {*kept["data"]}
    for each, policy in (("policy", POLICY), ("gateway", GATEWAY["policy"])):
        assert yaml.safe_load(kept["data"][f"{each}.yaml"]) == policy
    nothing = manifests({"webhook": {"policies": {"job": True}}})
    assert "Job" not in {tree["kind"] for tree in nothing}, "without a policy"


def selected(selector: Tree, labels: dict[str, str | None]) -> bool:
    """What `matchExpressions` means (Kubernetes, LabelSelector)."""
    return all(
        (labels.get(rule["key"]) in rule["values"]) is (rule["operator"] == "In")
        for rule in selector["matchExpressions"]
    )


@cache
def injected(mode: str, lifecycle: str) -> list[Tree]:
    """The corpus with sidecars, by the command."""
    future = "fields from the future"
    pods = [pod for name, pod in corpus().items() if "metadata" in pod and name != future]
    settings = [f"mode={mode}", f"lifecycle={lifecycle}", "config-map=c", "secret=s"]
    arguments = [each for setting in settings for each in ("--set", setting)]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    command = [str(SIDECAR), "inject", "-", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=True, text=True)
    items: list[Tree] = json.loads(done.stdout)["items"]
    assert len(items) == len(pods)
    return items


@VERSIONS
@pytest.mark.parametrize("lifecycle", ["native", "classic"])
@pytest.mark.parametrize("mode", ["base-url", "proxy", "capture"])
def test_injected_pods_of_all_shapes_fit_the_schemas(
    version: str, mode: str, lifecycle: str
) -> None:
    for pod in injected(mode, lifecycle):
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


@pytest.mark.parametrize(
    ("injection", "warned"),
    [({}, False), ({"port": 15001}, True), ({"mode": "proxy"}, True), ({"mode": "capture"}, True)],
)
def test_a_policy_that_listens_elsewhere_is_told(injection: Tree, warned: bool) -> None:
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render({"policy": POLICY, "injection": injection}, name=NAME, namespace="n")
    (notes,) = (text for file, text in files.items() if file.endswith("NOTES.txt"))
    assert ("WARNING: `policy` has no listener at port" in notes) is warned
