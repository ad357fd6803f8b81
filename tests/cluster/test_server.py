"""Install the chart into a real API server, and make pods. The tests tell one story, in order."""

from __future__ import annotations

import base64
import copy
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from chart import FOREIGN, NAME, NAMESPACE, ROOT, example, manifests
from cluster import INJECTOR, Cluster, free_port, until
from corpus import corpus, pod
from matrix import MATRIX, POLICY

Tree = dict[str, Any]

CONTAINER = "llm-sidecar"
VALUES: Tree = {"namespaces": ["apps"], "policy": POLICY}
_ON = {"llm_sidecar__inject": "enabled"}
_REFUSED_BY_KUBERNETES = {"ephemeral container"}
"""Such containers come by a subresource, later."""


@pytest.fixture(scope="module")
def cluster(api_server: Cluster) -> Cluster:
    """With namespaces, and the chart installed by helm."""
    api_server.namespace(NAMESPACE)
    api_server.namespace("apps", **_ON)
    api_server.namespace("others")
    api_server.account("kube-system", "default")
    for level in ("baseline", "restricted"):
        api_server.namespace(level, **_ON, **{"pod_security.kubernetes.io__enforce": level})
    api_server.account("apps", "sa")
    api_server.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 1,
        }
    )
    said = api_server.upgrade(VALUES)
    assert "kubectl label namespace NAME llm-sidecar/inject=enabled" in said
    return api_server


@pytest.fixture(scope="module")
def injector(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    with cluster.injector() as started:
        until(lambda: made(cluster, "apps"), "pods are injected")
        yield started


def named(tree: Tree, name: str, namespace: str) -> Tree:
    metadata = {**tree.get("metadata", {}), "name": name, "namespace": namespace}
    return {**copy.deepcopy(tree), "metadata": metadata}


PLAIN = pod("containers: [{name: app, image: a}]")
LOCKED = corpus()["restricted"]


def made(cluster: Cluster, namespace: str, tree: Tree = PLAIN, **metadata: Any) -> bool:
    """Whether a pod like this would get the sidecar. Asks by a dry run, which leaves nothing."""
    asked = named(tree, "asked", namespace)
    asked["metadata"] |= metadata
    pod = cluster.created(asked, "--dry-run=server")
    found = [c["name"] for c in pod["spec"].get("initContainers", [])]
    assert (CONTAINER in found) is ("llm-sidecar/status" in pod["metadata"].get("annotations", {}))
    return CONTAINER in found


def test_the_api_server_takes_every_value_set(cluster: Cluster) -> None:
    """All manifests of all value sets by a dry run, each object that several have once."""
    for name in ("a", "b"):
        cluster.namespace(name)
    trees = [tree for values in MATRIX.values() for tree in manifests(values, name="tried")]
    texts = {json.dumps(tree) for tree in trees if tree["kind"] not in FOREIGN}
    assert len(MATRIX) >= 20
    assert len(texts) >= 100
    done = cluster.run(
        *("kubectl", "create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"),
        given="\n---\n".join(sorted(texts)),
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(texts)


def test_the_certificate_is_made_and_known(cluster: Cluster, injector: object) -> None:
    secret = cluster.get("secret", f"{INJECTOR}-certificate", "-n", NAMESPACE)
    assert secret["data"]["ca.crt"] == cluster.bundle() != ""
    assert b"BEGIN PRIVATE KEY" in base64.b64decode(secret["data"]["tls.key"])


def test_pods_of_all_shapes(cluster: Cluster, injector: object) -> None:
    """What the API server stores is what a second review leaves alone."""
    checked = 0
    for number, (what, tree) in enumerate(corpus().items()):
        if what in _REFUSED_BY_KUBERNETES:
            continue
        asked = named(tree | {"apiVersion": "v1", "kind": "Pod"}, f"pod-{number}", "apps")
        stored = cluster.created(asked, "--validate=ignore")
        spec = stored["spec"]
        inits = [c["name"] for c in spec["initContainers"]]
        assert inits.count(CONTAINER) == 1, what
        ours = spec["initContainers"][inits.index(CONTAINER)]
        assert ours["restartPolicy"] == "Always", what
        assert ours["args"][-2:] == ["-c", "/etc/llm-sidecar/sidecar.yaml"]
        maps = [v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v]
        assert f"{NAME}-policy" in maps
        for app in spec["containers"]:
            names = [variable["name"] for variable in app.get("env", [])]
            meshed = app["name"] in ("istio-proxy", "linkerd-proxy")
            assert names.count("OPENAI_BASE_URL") == (0 if meshed else 1), what
        again = cluster.created(again_from(stored, f"again-{number}"))
        assert again["spec"] == spec, what
        checked += 1
    assert checked >= 30


def again_from(stored: Tree, name: str) -> Tree:
    metadata = {k: stored["metadata"][k] for k in ("annotations", "labels", "namespace")}
    return {**stored, "metadata": {**metadata, "name": name}, "status": {}}


def test_pods_with_an_old_sidecar_are_found(cluster: Cluster, injector: object) -> None:
    """By the commands of docs/kubernetes.md."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    asked = re.findall(r"^kubectl (get pods -A .*=true.*)$", page, re.MULTILINE)[:2]
    old = copy.deepcopy(cluster.created(named(PLAIN, "new", "others"), "--dry-run=client"))
    old["metadata"]["labels"] = {"llm-sidecar/injected": "true", "llm-sidecar/version": "0.0.9"}
    cluster.created(old)
    label = {"llm-sidecar/inject": "enabled"}
    cluster.created(
        {**PLAIN, "metadata": {"name": "newer", "namespace": "others", "labels": label}}
    )
    others, images = (
        cluster.ok("kubectl", *shlex.split(command)).splitlines() for command in asked
    )
    found = [line.split()[:2] for line in others]
    assert ["others", "new"] in found
    assert ["others", "newer"] not in found
    (line,) = (line for line in images if " newer " in line)
    assert line.split() == ["others", "newer", "0.1.0", "llm-sidecar:0.1.0"]
    for name in ("new", "newer"):
        cluster.ok(
            *("kubectl", "delete", "pod", name, "-n", "others", "--grace-period=0", "--force")
        )


def test_who_gets_it(cluster: Cluster, injector: object) -> None:
    label = "llm-sidecar/inject"
    assert made(cluster, "apps")
    assert not made(cluster, "apps", labels={label: "disabled"})
    assert not made(cluster, "others")
    assert made(cluster, "others", labels={label: "enabled"})
    assert not made(cluster, "kube-system", LOCKED, labels={label: "enabled"})


def test_a_dry_run_leaves_nothing(cluster: Cluster, injector: object) -> None:
    assert made(cluster, "others", labels={"llm-sidecar/inject": "enabled"})
    assert cluster.get("pods", "-n", "others")["items"] == []


def test_a_skipped_pod_says_why(cluster: Cluster, injector: object) -> None:
    host = pod("hostNetwork: true, containers: [{name: app, image: a}]")
    done = cluster.create(named(host, "host", "apps"))
    assert done.returncode == 0
    assert "Warning: no LLM sidecar: hostNetwork" in done.stderr
    stored = cluster.get("pod", "host", "-n", "apps")
    assert stored["metadata"]["annotations"]["llm-sidecar/skipped"].startswith("hostNetwork")
    assert "initContainers" not in stored["spec"]


def test_bad_annotations_are_refused(cluster: Cluster, injector: object) -> None:
    asked = named(PLAIN, "bad", "apps")
    asked["metadata"]["annotations"] = {"llm-sidecar/mode": "magic"}
    done = cluster.create(asked)
    assert done.returncode != 0
    assert "llm-sidecar/mode: invalid enum value 'magic'" in done.stderr


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pod_security(cluster: Cluster, injector: object, level: str) -> None:
    """Ours fits what the namespace enforces; what does not fit is refused as ever."""
    asked = named(LOCKED, "fits", level)
    asked["metadata"]["annotations"] = {"llm-sidecar/mode": "capture"}
    done = cluster.create(asked)
    assert done.returncode == 0, done.stderr
    assert "mode base-url is used instead of capture" in done.stderr
    inits = cluster.get("pod", "fits", "-n", level)["spec"]["initContainers"]
    assert [c["name"] for c in inits] == [CONTAINER]

    privileged = corpus()["privileged container"]
    refused = cluster.create(named(privileged, "refused", level))
    assert refused.returncode != 0
    assert f'violates PodSecurity "{level}:latest"' in refused.stderr


def test_why_capture_gives_way_there(cluster: Cluster, injector: object) -> None:
    asked = named(LOCKED, "captured", "others")
    asked["metadata"]["annotations"] = {"llm-sidecar/mode": "capture"}
    asked["metadata"]["labels"] = {"llm-sidecar/inject": "enabled"}
    stored = cluster.created(asked)
    redirecting = stored["spec"]["initContainers"][0]
    assert redirecting["securityContext"]["capabilities"]["add"] == ["NET_ADMIN"]
    there = again_from(stored, "captured")
    there["metadata"] = {"name": "captured", "namespace": "baseline"}
    there["metadata"]["labels"] = {"llm-sidecar/inject": "disabled"}
    refused = cluster.create(there)
    assert refused.returncode != 0
    assert "NET_ADMIN" in refused.stderr


TYPO = (
    yaml.safe_dump(POLICY).replace("  upstream:", "  upstrem:").replace("- upstream", "- upstrem")
)


def policy(text: str, **labels: str) -> Tree:
    marks = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
    metadata = {"name": "mine", "namespace": "apps", "labels": marks}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"sidecar.yaml": text},
    }


def test_a_bad_policy_is_refused(cluster: Cluster, injector: object) -> None:
    """With its line, the key and the remedy; and only where the label asks for it."""
    done = cluster.create(policy(TYPO, llm_sidecar__policy="enabled"))
    assert done.returncode != 0
    line = TYPO.splitlines().index("- upstrem: u") + 1
    assert 'admission webhook "policy.check.llm-sidecar" denied the request' in done.stderr
    assert f'sidecar.yaml:{line}: routes[0].upstrem: unknown key (did you mean "upstream"?)' in (
        done.stderr
    )
    cluster.created(policy(TYPO))
    late = cluster.run(
        *("kubectl", "label", "cm", "mine", "-n", "apps"), "llm-sidecar/policy=enabled"
    )
    assert late.returncode != 0
    assert "unknown key" in late.stderr
    labelled = {"llm_sidecar__policy": "enabled"}
    cluster.apply(policy(yaml.safe_dump(POLICY), **labelled))
    broken = json.dumps(policy(TYPO, **labelled))
    assert cluster.run("kubectl", "apply", "-f", "-", given=broken).returncode != 0
    cluster.apply(policy(TYPO))
    cluster.ok(*("kubectl", "annotate", "configmap", "mine", "-n", "apps"), "a=b")
    cluster.ok("kubectl", "delete", "configmap", "mine", "-n", "apps")


def test_a_doubtful_policy_is_taken_with_a_warning(cluster: Cluster, injector: object) -> None:
    upstreams = {"u": {"endpoints": [{"url": "http://u/v1"}]}}
    routes = [{"match": {"path": "/v1/"}, "upstream": "u"}]
    text = yaml.safe_dump(POLICY | {"upstreams": upstreams, "routes": routes})
    asked = policy(text, llm_sidecar__policy="enabled")
    done = cluster.create(asked, "--dry-run=server")
    assert done.returncode == 0
    assert "Warning: sidecar.yaml:" in done.stderr
    assert "calls are sent to /v1/v1/" in done.stderr


def test_helm_shows_why_a_policy_is_refused(cluster: Cluster, injector: object) -> None:
    """What the values' schema can't know; what pods read stays as it was."""
    before = cluster.get("configmap", f"{NAME}-policy", "-n", "apps")["data"]
    values = VALUES | {"policy": POLICY | {"routes": [{"upstream": "w"}]}}
    with pytest.raises(AssertionError, match=r"sidecar.yaml:\d+: routes\[0\].upstream: "):
        cluster.upgrade(values)
    assert cluster.get("configmap", f"{NAME}-policy", "-n", "apps")["data"] == before
    cluster.upgrade(VALUES)


def test_a_job_checks_policies_before_pods_see_them(cluster: Cluster, injector: object) -> None:
    checked = VALUES | {"webhook": {"policies": {"job": True, "enabled": False}}}
    before = cluster.get("configmap", f"{NAME}-policy", "-n", "apps")["data"]
    with cluster.job(f"{NAME}-check") as said, pytest.raises(AssertionError, match="pre-upgrade"):
        cluster.upgrade(checked | {"policy": POLICY | {"routes": [{"upstream": "w"}]}})
    assert "policy.yaml:" in said[0]
    assert "routes[0].upstream: " in said[0]
    assert cluster.get("configmap", f"{NAME}-policy", "-n", "apps")["data"] == before
    with cluster.job(f"{NAME}-check") as said:
        cluster.upgrade(checked)
    assert said == ["/etc/policies/policy.yaml is valid\n"]
    cluster.upgrade(VALUES)


def test_an_ephemeral_container_comes_later(cluster: Cluster, injector: object) -> None:
    cluster.created(named(PLAIN, "debugged", "apps"))
    debug = {"name": "debug", "image": "d", "targetContainerName": "app"}
    current = cluster.get("pod", "debugged", "-n", "apps")
    current["spec"]["ephemeralContainers"] = [debug]
    path = "/api/v1/namespaces/apps/pods/debugged/ephemeralcontainers"
    cluster.ok("kubectl", "replace", "--raw", path, "-f", "-", given=json.dumps(current))
    stored = cluster.get("pod", "debugged", "-n", "apps")["spec"]
    assert [c["name"] for c in stored["ephemeralContainers"]] == ["debug"]
    assert [c["name"] for c in stored["initContainers"]] == [CONTAINER]


def test_injected_files_are_taken(cluster: Cluster, injector: object) -> None:
    """`sidecar inject` and the webhook agree, so that one after the other is one."""
    file = ROOT / "charts" / NAME / "examples" / "application.yaml"
    template = next(yaml.safe_load_all(file.read_text()))["spec"]["template"]
    plain = {"apiVersion": "v1", "kind": "Pod", **template}
    text = json.dumps(named(plain, "from-file", "apps"))
    defaults = cluster.folder / "settings" / "defaults.yaml"
    injected = subprocess.run(
        [ROOT / ".venv" / "bin" / "sidecar", "inject", "-", "--defaults", defaults],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    one = cluster.created(yaml.safe_load(injected))
    other = cluster.created(named(plain, "from-webhook", "apps"))
    ours = [strip(tree["spec"]) for tree in (one, other)]
    assert ours[0] == ours[1]


def strip(spec: Tree) -> str:
    """Without the name that the token's volume is given by chance."""
    return re.sub(r"kube-api-access-\w+", "token", json.dumps(spec, sort_keys=True))


def test_the_injector_may_do_what_it_must_and_no_more(cluster: Cluster) -> None:
    def may(verb: str, what: str, name: str = "", *arguments: str) -> bool:
        resource = f"{what}/{name}" if name else what
        account = f"--as=system:serviceaccount:{NAMESPACE}:{INJECTOR}"
        asked = ("kubectl", "auth", "can-i", verb, resource, account, "-n", NAMESPACE)
        return cluster.run(*asked, *arguments).stdout.strip() == "yes"

    assert may("update", "secrets", f"{INJECTOR}-certificate")
    assert may("patch", "mutatingwebhookconfigurations", INJECTOR)
    assert may("patch", "validatingwebhookconfigurations", INJECTOR)
    assert not may("get", "secrets", "another")
    for verb in ("list", "watch", "create", "delete"):
        assert not may(verb, "secrets")
        assert not may(verb, "mutatingwebhookconfigurations")
    for what in ("pods", "configmaps", "namespaces"):
        assert not may("get", what)


def test_a_renewed_certificate_never_stops_the_pods(cluster: Cluster) -> None:
    """With failurePolicy Fail, a pod that is made at a bad moment would be refused."""
    cluster.upgrade(VALUES | {"webhook": {"failurePolicy": "Fail"}})
    with cluster.injector():
        until(lambda: made(cluster, "apps"), "pods are injected")
        before = cluster.bundle()
        # What the injector does when it is due, at once: it finds names that are not its own.
        steps = [{"op": "replace", "path": "/data/tls.crt", "value": cluster_ca(cluster)}]
        secret = ("secret", f"{INJECTOR}-certificate", "-n", NAMESPACE)
        cluster.ok("kubectl", "patch", *secret, "--type=json", "-p", json.dumps(steps))

        def renewed() -> bool:
            assert made(cluster, "apps"), "in between, too"
            return cluster.bundle() not in ("", before)

        until(renewed, "the certificate is renewed")
        after = base64.b64decode(cluster.bundle())
        assert after.count(b"BEGIN CERTIFICATE") == 2, "the one before is trusted still"
        for _ in range(10):
            assert made(cluster, "apps")
    refused = cluster.create(named(PLAIN, "nobody-answers", "apps"))
    assert refused.returncode != 0
    assert "failed calling webhook" in refused.stderr


def cluster_ca(cluster: Cluster) -> str:
    return base64.b64encode((cluster.folder / "pki" / "apiserver.crt").read_bytes()).decode()


def test_without_an_injector_pods_are_made_as_they_are(cluster: Cluster) -> None:
    bundle = cluster.bundle()
    cluster.upgrade(VALUES)
    assert cluster.bundle() == bundle, "an upgrade leaves it alone"
    assert not made(cluster, "apps")
    with cluster.injector():
        until(lambda: made(cluster, "apps"), "pods are injected again")


def test_when_nobody_answers_only_a_new_policy_is_held_up(cluster: Cluster) -> None:
    """With failurePolicy Fail. An upgrade that mends the injector goes through."""
    strict = VALUES | {"webhook": {"policies": {"failurePolicy": "Fail"}}}
    cluster.upgrade(strict)
    cluster.lead(free_port())
    cluster.upgrade(strict | {"injector": {"replicas": 3}})
    mine = policy(yaml.safe_dump(POLICY), llm_sidecar__policy="enabled")
    refused = cluster.create(mine)
    assert refused.returncode != 0
    assert 'failed calling webhook "policy.check.llm-sidecar"' in refused.stderr
    for name in (f"{NAME}-policy", "unlabelled"):
        if name == "unlabelled":
            cluster.created(policy(TYPO) | {"metadata": {"name": name, "namespace": "apps"}})
        cluster.ok("kubectl", "annotate", "configmap", name, "-n", "apps", "a=b")
    cluster.ok("kubectl", "patch", "cm", f"{NAME}-policy", "-n", "apps", "-p", FINALIZER)
    cluster.ok("kubectl", "delete", "cm", f"{NAME}-policy", "-n", "apps", "--wait=false")
    last = ("patch", "cm", f"{NAME}-policy", "-n", "apps", "--type=merge", "-p")
    cluster.ok(
        "kubectl", *last, '{"metadata": {"finalizers": null}, "data": {"sidecar.yaml": "["}}'
    )
    cluster.ok("kubectl", "delete", "cm", "unlabelled", "-n", "apps")
    cluster.ok("kubectl", "delete", "validatingwebhookconfiguration", INJECTOR)
    cluster.upgrade(VALUES)


FINALIZER = '{"metadata": {"finalizers": ["example.com/slow"]}}'


def test_helm_template_and_the_policy_in_its_namespaces(cluster: Cluster) -> None:
    values = VALUES | {"policy": POLICY | {"access_log": {"max_queued": 1_000_000}}}
    said = cluster.helm("template", NAME, f"{ROOT}/charts/{NAME}", values=values)
    maps = [t for t in yaml.safe_load_all(said) if t["metadata"]["name"] == f"{NAME}-policy"]
    assert [t["metadata"]["namespace"] for t in maps] == [NAMESPACE, "apps"]
    assert yaml.safe_load(maps[0]["data"]["sidecar.yaml"]) == values["policy"]
    cluster.upgrade(values)
    stored = cluster.get("configmap", f"{NAME}-policy", "-n", "apps")["data"]["sidecar.yaml"]
    assert "max_queued: 1000000\n" in stored


def test_everything_else_that_the_chart_has_is_taken(cluster: Cluster) -> None:
    """By the API server; monitors and rules of other people's operators have no place here."""
    values = example("mixed") | {"monitoring": {}, "alerts": {}}
    cluster.upgrade(values)
    for name in ("traffic", "tokens", "endpoints"):
        kept = cluster.get("configmap", f"{NAME}-dashboard-{name}", "-n", NAMESPACE)
        board = json.loads(kept["data"][f"llm-sidecar-{name}.json"])
        assert board["uid"] == f"llm-sidecar-{name}"
    scaler = cluster.get("hpa", f"{NAME}-gateway", "-n", NAMESPACE)
    assert scaler["spec"]["maxReplicas"] == 10
    cluster.upgrade(VALUES)


def test_uninstalled_it_leaves_nothing(cluster: Cluster) -> None:
    cluster.helm("uninstall", NAME)
    mark = f"app.kubernetes.io/instance={NAME}"
    kinds = "all,secrets,configmaps,roles,rolebindings,pdb,networkpolicies"
    assert cluster.get(kinds, "-A", "-l", mark)["items"] == []
    kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,"
    kinds += "validatingwebhookconfigurations"
    assert cluster.get(kinds, "-l", mark)["items"] == []
