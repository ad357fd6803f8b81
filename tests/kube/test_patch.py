"""What a pod is after an injection, over pods of all shapes."""

from __future__ import annotations

import copy
import re
from itertools import product
from typing import Any

import pytest

from sidecar import __version__
from sidecar.kube.names import (
    CONTAINER,
    CONTAINERS,
    INJECT,
    INJECTED,
    MESHES,
    REDIRECT,
    STATUS,
    TRUST,
    VERSION,
)
from sidecar.kube.patch import Skipped, inject, uninject
from sidecar.kube.settings import BadSettings, Settings, changed
from tests.kube.corpus import corpus, pod

Tree = dict[str, Any]

PODS = corpus()
EVERY = pytest.mark.parametrize("name", PODS)
WAYS = [
    changed(Settings(config_map="policy", secret="keys"), {"mode": mode, "lifecycle": lifecycle})
    for mode, lifecycle in product(("base-url", "proxy", "capture"), ("native", "classic"))
]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.mode} {way.lifecycle}")
DEFAULT = Settings()


def test_the_corpus_is_large_enough() -> None:
    assert len(PODS) >= 30


def injected(tree: Tree, settings: Settings = DEFAULT) -> Tree:
    return inject(tree, settings).pod


def names(tree: Tree, kind: str) -> list[str]:
    return [container["name"] for container in tree["spec"].get(kind, [])]


def container(tree: Tree, name: str) -> Tree:
    found = [c for k in ("initContainers", "containers") for c in tree["spec"].get(k, [])]
    return next(c for c in found if c["name"] == name)


def env(tree: Tree, name: str = "app") -> dict[str, str | None]:
    return {v["name"]: v.get("value") for v in container(tree, name).get("env", [])}


@EVERY
@EVERY_WAY
def test_twice_is_once(name: str, way: Settings) -> None:
    before = copy.deepcopy(PODS[name])
    once = inject(PODS[name], way)
    assert PODS[name] == before, "the pod that was given is not changed"
    assert inject(once.pod, way) == once


@EVERY
@EVERY_WAY
def test_taking_out_gives_the_pod_back(name: str, way: Settings) -> None:
    assert uninject(injected(PODS[name], way)) == PODS[name], "what was empty, too"


@EVERY
@EVERY_WAY
@pytest.mark.parametrize("at", [0, -1])
def test_a_foreign_container_in_between(name: str, way: Settings, at: int) -> None:
    """As when another injector runs after ours, and ours is asked again."""
    stranger = {"name": "stranger", "image": "s"}
    between = injected(PODS[name], way)
    between["spec"]["containers"].insert(at % (len(between["spec"]["containers"]) + 1), stranger)
    again = injected(between, way)
    assert injected(again, way) == again
    assert [n for n in names(again, "containers") if n != CONTAINER].count("stranger") == 1
    ours = names(again, "initContainers") + names(again, "containers")
    assert ours.count(CONTAINER) == 1
    assert set(env(again, "stranger")) == set(env(injected(pod("containers: [{name: app}]"), way)))


@EVERY
@EVERY_WAY
def test_what_was_there_is_there(name: str, way: Settings) -> None:
    old, new = PODS[name]["spec"], injected(PODS[name], way)["spec"]
    for key, value in old.items():
        if key not in ("containers", "initContainers", "volumes"):
            assert new[key] == value
    assert new.get("volumes", [])[: len(old.get("volumes", []))] == old.get("volumes", [])
    for kind in ("initContainers", "containers"):
        kept = [c for c in new.get(kind, []) if c["name"] not in CONTAINERS]
        assert len(kept) == len(old.get(kind, []))
        for mine, theirs in zip(old.get(kind, []), kept, strict=True):
            for key, value in mine.items():
                if key in ("env", "volumeMounts"):
                    assert theirs[key][: len(value)] == value
                else:
                    assert theirs[key] == value


def test_a_plain_pod() -> None:
    made = injected(PODS["plain"])
    assert env(made) == {
        "OPENAI_BASE_URL": "http://127.0.0.1:14001/v1",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:14001",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:14001/gemini",
    }
    assert names(made, "initContainers") == [CONTAINER]
    ours = container(made, CONTAINER)
    assert ours["restartPolicy"] == "Always"
    assert ours["args"] == ["run", "--health-port", "14011"]
    assert ours["startupProbe"]["httpGet"] == {"path": "/ready", "port": 14011}
    assert made["metadata"]["labels"] == {INJECTED: "true", VERSION: __version__}
    assert "volumes" not in made["spec"]


def test_configuration_and_secret_are_mounted_whole() -> None:
    made = injected(PODS["volumes"], Settings(config_map="policy", secret="keys"))
    assert made["spec"]["volumes"][1:] == [
        {"name": "llm-sidecar-config", "configMap": {"name": "policy"}},
        {"name": "llm-sidecar-secret", "secret": {"secretName": "keys"}},
        {"name": "llm-sidecar-state", "emptyDir": {"sizeLimit": "16Mi"}},
    ]
    ours = container(made, CONTAINER)
    # For a container that starts again while the policy is bad.
    assert {"name": "SIDECAR_STATE", "value": "/var/lib/llm-sidecar"} in ours["env"]
    assert {"name": "llm-sidecar-state", "mountPath": "/var/lib/llm-sidecar"} in ours[
        "volumeMounts"
    ]
    assert ours["args"][-2:] == ["-c", "/etc/llm-sidecar/sidecar.yaml"]
    assert all("subPath" not in mount for mount in ours["volumeMounts"])
    assert [m["name"] for m in container(made, "app")["volumeMounts"]] == ["data"]


def test_what_the_user_set_stays() -> None:
    assert env(injected(PODS["own base url"]))["OPENAI_BASE_URL"] == "http://mine"
    assert env(injected(PODS["own base url from a secret"]))["ANTHROPIC_BASE_URL"] is None
    proxy = Settings(mode="proxy", config_map="c")
    lower = env(injected(PODS["lower case proxy"], proxy))
    assert lower["https_proxy"] == "http://p:1"
    assert "HTTPS_PROXY" not in lower
    assert env(injected(PODS["own CA"], proxy))["SSL_CERT_FILE"] == "/own.pem"
    assert env(injected(PODS["own Java options"], proxy))["JAVA_TOOL_OPTIONS"] == "-Xmx1g"


def test_ours_come_last_so_that_references_keep_their_meaning() -> None:
    made = container(injected(PODS["env that refers"]), "app")["env"]
    assert made[0] == {"name": "URL", "value": "$(OPENAI_BASE_URL)/x"}


@pytest.mark.parametrize("mode", ["base-url", "proxy", "capture"])
def test_the_sidecar_knows_its_pod(mode: Any) -> None:
    made = injected(PODS["plain"], Settings(mode=mode, config_map="c"))
    variables = container(made, CONTAINER)["env"]
    [resource] = [v["value"] for v in variables if v["name"] == "OTEL_RESOURCE_ATTRIBUTES"]
    fields = {
        v["name"]: v["valueFrom"]["fieldRef"]["fieldPath"] for v in variables if "valueFrom" in v
    }
    attributes = dict(pair.split("=") for pair in resource.split(","))
    # A reference is resolved only if its variable comes before it (Kubernetes, EnvVar).
    before = [v["name"] for v in variables[: len(variables) - 1]]
    assert variables[-1]["name"] == "OTEL_RESOURCE_ATTRIBUTES"
    assert {
        key: fields[name] for key, text in attributes.items() if (name := text[2:-1]) in before
    } == {
        "k8s.pod.name": "metadata.name",
        "k8s.pod.uid": "metadata.uid",
        "k8s.namespace.name": "metadata.namespace",
        "k8s.node.name": "spec.nodeName",
    }
    assert fields["OTEL_SERVICE_NAME"] == "metadata.labels['app.kubernetes.io/name']"
    assert not [name for name in env(made) if name.startswith("OTEL")]  # the application's


def test_apis_port_and_azure() -> None:
    settings = Settings(apis="anthropic", port=15001, azure_resource="acme")
    assert env(injected(PODS["plain"], settings)) == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:15001",
        "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:15001/azure/acme",
    }


def test_no_api_leaves_the_container_alone() -> None:
    assert container(injected(PODS["plain"], Settings(apis="")), "app") == {
        "name": "app",
        "image": "app:1",
    }


def test_proxy_mode() -> None:
    made = injected(PODS["plain"], Settings(mode="proxy", config_map="c"))
    assert env(made)["HTTPS_PROXY"] == "http://127.0.0.1:14002"
    bundle = env(made)["SSL_CERT_FILE"]
    assert bundle is not None
    mounts = container(made, "app")["volumeMounts"]
    assert mounts == [
        {"name": "llm-sidecar-ca", "mountPath": "/var/run/llm-sidecar/ca", "readOnly": True}
    ]
    assert bundle.startswith(mounts[0]["mountPath"] + "/")
    assert REDIRECT not in names(made, "initContainers")


def test_capture_mode() -> None:
    settings = Settings(
        mode="capture", config_map="c", capture_ports="443,8443", exclude_cidrs="10.0.0.0/8"
    )
    made = injected(PODS["init container"], settings)
    assert names(made, "initContainers") == [REDIRECT, TRUST, CONTAINER, "migrate"]
    rules = container(made, REDIRECT)
    flags = ["--ports", "443,8443", "--exclude-cidrs", "10.0.0.0/8"]
    assert rules["args"] == ["redirect", "install", "--uid", "1414", "--to", "14003", *flags]
    assert rules["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert rules["securityContext"]["runAsNonRoot"] is True
    assert "restartPolicy" not in rules
    assert "HTTPS_PROXY" not in env(made)


def test_the_key_of_the_ca_is_seen_by_ours_only() -> None:
    made = injected(PODS["init container"], Settings(mode="proxy", config_map="c"))
    state, public = "llm-sidecar-state", "llm-sidecar-ca"
    containers = [*made["spec"]["initContainers"], *made["spec"]["containers"]]
    mounted = {c["name"]: [m["name"] for m in c.get("volumeMounts", [])] for c in containers}
    assert {name for name, volumes in mounted.items() if state in volumes} == {TRUST, CONTAINER}
    assert {name for name, volumes in mounted.items() if public in volumes} == {
        TRUST,
        "migrate",
        "app",
    }


def test_capture_where_net_admin_is_forbidden() -> None:
    made = inject(PODS["plain"], Settings(mode="capture", config_map="c"), no_net_admin=True)
    assert REDIRECT not in names(made.pod, "initContainers")
    assert "OPENAI_BASE_URL" in env(made.pod)
    assert "NET_ADMIN" in made.warnings[0]


@EVERY
@pytest.mark.parametrize("mode", ["base-url", "proxy"])
def test_our_container_is_fit_for_restricted(name: str, mode: Any) -> None:
    context = container(injected(PODS[name], Settings(mode=mode, config_map="c")), CONTAINER)[
        "securityContext"
    ]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("init container", [CONTAINER, "migrate"]),
        ("istio", ["istio-init", CONTAINER]),
        ("istio native", ["istio-init", "istio-proxy", CONTAINER, "migrate"]),
        ("linkerd native", ["linkerd-init", "linkerd-proxy", CONTAINER]),
    ],
)
def test_native_starts_after_meshes_and_before_the_rest(name: str, order: list[str]) -> None:
    assert names(injected(PODS[name]), "initContainers") == order


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("plain", [CONTAINER, "app"]),
        ("istio", [CONTAINER, "app", "istio-proxy"]),
        ("istio that holds the application", ["istio-proxy", CONTAINER, "app"]),
        ("linkerd", ["linkerd-proxy", CONTAINER, "app"]),
    ],
)
def test_classic_starts_before_the_application(name: str, order: list[str]) -> None:
    made = injected(PODS[name], Settings(lifecycle="classic"))
    assert names(made, "containers") == order
    ours = container(made, CONTAINER)
    assert "restartPolicy" not in ours
    assert ours["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"


def test_only_those_who_run_beside_us_are_led_to_us() -> None:
    native = injected(PODS["init container"])
    assert "OPENAI_BASE_URL" in env(native, "migrate")
    classic = injected(PODS["init container"], Settings(lifecycle="classic"))
    assert env(classic, "migrate") == {}
    for mesh in MESHES & set(names(injected(PODS["istio native"]), "initContainers")):
        assert env(injected(PODS["istio native"]), mesh) == {}


def test_behind_a_mesh_the_kubelet_asks_from_inside() -> None:
    ours = container(injected(PODS["istio"]), CONTAINER)
    command = ["sidecar", "ready", "--port", "14011"]
    assert ours["startupProbe"]["exec"]["command"] == command
    assert "readinessProbe" not in ours


def test_an_annotation_wins_over_the_default() -> None:
    own = PODS["plain"] | {
        "metadata": {
            "annotations": {
                "llm-sidecar/lifecycle": "classic",
                "llm-sidecar/cpu-limit": "1",
                "llm-sidecar/memory-limit": "",
                "llm-sidecar/log-level": "debug",
                "llm-sidecar/image-pull-policy": "Always",
            }
        }
    }
    ours = container(injected(own), CONTAINER)
    assert "restartPolicy" not in ours
    assert ours["resources"]["limits"] == {"cpu": "1"}
    assert ours["args"][-2:] == ["--log-level", "debug"]
    assert ours["imagePullPolicy"] == "Always"


def test_bad_annotations_are_all_told() -> None:
    bad = {"llm-sidecar/mode": "magic", "llm-sidecar/prot": "1", "llm-sidecar/apis": "cohere"}
    with pytest.raises(BadSettings) as raised:
        inject(PODS["plain"] | {"metadata": {"annotations": bad}}, DEFAULT)
    assert raised.value.problems == [
        "llm-sidecar/mode: invalid enum value 'magic'",
        'llm-sidecar/prot: unknown (did you mean "port"?)',
        "llm-sidecar/apis: can't take 'cohere'",
    ]


def on_nodes(*systems: str) -> str:
    terms = ", ".join(
        f"{{matchExpressions: [{{key: disk, operator: Exists}}, "
        f"{{key: kubernetes.io/os, operator: In, values: {values}}}]}}"
        for values in systems
    )
    required = f"requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{terms}]}}"
    return f"affinity: {{nodeAffinity: {{{required}}}}}"


@pytest.mark.parametrize(
    "place",
    [
        "nodeSelector: {kubernetes.io/os: linux}",
        on_nodes("[windows]", "[linux]"),
        on_nodes("[linux, windows]"),
        on_nodes(),
    ],
)
def test_pods_that_may_run_on_linux_get_it(place: str) -> None:
    assert inject(pod(f"{place}, containers: [{{name: a}}]"), DEFAULT).pod


@pytest.mark.parametrize(
    ("spec", "metadata", "reason"),
    [
        ("hostNetwork: true, containers: [{name: a}]", {}, "hostNetwork"),
        ("os: {name: windows}, containers: [{name: a}]", {}, r"Windows \(os\)"),
        (
            "nodeSelector: {kubernetes.io/os: windows}, containers: [{name: a}]",
            {},
            r"Windows \(nodeSelector\)",
        ),
        (
            "nodeSelector: {beta.kubernetes.io/os: windows}, containers: [{name: a}]",
            {},
            r"Windows \(nodeSelector\)",
        ),
        (f"{on_nodes('[windows]')}, containers: [{{name: a}}]", {}, r"Windows \(affinity\)"),
        ("containers: []", {}, "no containers"),
        ("containers: [{name: a}]", {"labels": {INJECT: "disabled"}}, "disabled"),
        (
            "containers: [{name: a}]",
            {"annotations": {"kubernetes.io/config.mirror": "x"}},
            "mirrors",
        ),
        ("containers: [{name: llm-sidecar}]", {}, "not injected"),
        ("containers: [{name: a, ports: [{containerPort: 14001}]}]", {}, "a has port 14001"),
        ("containers: [{name: a, ports: [{containerPort: 14011}]}]", {}, "a has port 14011"),
    ],
)
def test_pods_that_are_left_alone(spec: str, metadata: Tree, reason: str) -> None:
    with pytest.raises(Skipped, match=reason):
        inject(pod(spec) | {"metadata": metadata}, DEFAULT)


@pytest.mark.parametrize(
    ("name", "settings", "warning"),
    [
        ("envFrom", DEFAULT, "OPENAI_BASE_URL, .* would override envFrom"),
        ("job", Settings(lifecycle="classic"), "POST http://127.0.0.1:14010/quit"),
        ("runs as our user", Settings(mode="capture", config_map="c"), "runs as 1414"),
        (
            "something where the CA belongs",
            Settings(mode="proxy", config_map="c"),
            "where the CA bundle goes",
        ),
    ],
)
def test_warnings(name: str, settings: Settings, warning: str) -> None:
    found = inject(PODS[name], settings).warnings
    assert len(found) == 1
    assert re.search(warning, found[0])


def test_no_warning_without_reason() -> None:
    assert inject(PODS["envFrom with a prefix"], DEFAULT).warnings == []
    assert inject(PODS["job"], DEFAULT).warnings == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"env": 1}'])
def test_nonsense_in_the_status_harms_nobody(text: str) -> None:
    broken = injected(PODS["plain"])
    broken["metadata"]["annotations"][STATUS] = text
    again = injected(broken)
    assert names(again, "initContainers") == [CONTAINER]


def test_a_source_takes_the_config_maps_place_or_lies_over_it() -> None:
    url = "etcd://etcd.infra:2379/llm/sidecar.yaml"
    for settings, files in (
        (Settings(config_source=url), []),
        (Settings(config_source=url, config_map="c"), ["-c", "/etc/llm-sidecar/sidecar.yaml"]),
    ):
        made = injected(PODS["plain"], settings)
        ours = next(
            each for each in made["spec"]["initContainers"] if each["name"] == "llm-sidecar"
        )
        assert ours["args"][-2 - len(files) :] == [*files, "-c", url]
        # What it keeps for a start without its source.
        assert {"name": "XDG_STATE_HOME", "value": "/var/lib/llm-sidecar"} in ours["env"]
        assert "/var/lib/llm-sidecar" in [each["mountPath"] for each in ours["volumeMounts"]]
        assert "llm-sidecar-state" in [each["name"] for each in made["spec"]["volumes"]]
