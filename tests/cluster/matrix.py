"""Values that the chart is rendered with."""

from __future__ import annotations

from typing import Any

from chart import example

Tree = dict[str, Any]

POLICY = {
    "listeners": [{"address": "127.0.0.1:14001"}],
    "upstreams": {"u": {"endpoints": [{"url": "http://u"}]}},
    "routes": [{"upstream": "u"}],
}
GATEWAY = {"enabled": True, "policy": POLICY | {"listeners": [{"address": "0.0.0.0:14001"}]}}

PLACES: Tree = {
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [{"topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "a", "app.kubernetes.io/name": "not-ours"},
    "podAnnotations": {"example.com/cost-centre": "7"},
}
"""Where pods run, and what they are called."""
IDENTITY = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/llm"}
EXTRAS: Tree = {
    "extraEnv": [{"name": "REGION", "value": "eu"}],
    "extraEnvFrom": [{"secretRef": {"name": "more", "optional": True}}],
    "extraVolumes": [{"name": "roots", "configMap": {"name": "roots"}}],
    "extraVolumeMounts": [{"name": "roots", "mountPath": "/etc/roots", "readOnly": True}],
}

MATRIX: dict[str, Tree] = {
    "defaults": {},
    "openai": example("openai"),
    "vllm-fleet": example("vllm-fleet"),
    "mixed": example("mixed"),
    "one replica": {"injector": {"replicas": 1}},
    "every place": {"injector": PLACES | {"resources": {}}, "gateway": GATEWAY | PLACES},
    "extras": {"injector": EXTRAS, "gateway": GATEWAY | EXTRAS},
    "names": {"nameOverride": "calls", "commonLabels": {"app.kubernetes.io/part-of": "platform"}},
    "full name": {
        "fullnameOverride": "mesh",
        "commonLabels": {"app.kubernetes.io/instance": "not-ours"},
        "gateway": GATEWAY,
        "credentials": {"k": "v"},
    },
    "accounts of the cloud": {
        "injector": {"serviceAccount": {"annotations": IDENTITY, "automount": True}},
        "gateway": GATEWAY
        | {"serviceAccount": {"name": "llm", "annotations": IDENTITY, "automount": True}},
    },
    "accounts of others": {
        "injector": {"serviceAccount": {"create": False, "name": "theirs"}},
        "gateway": GATEWAY | {"serviceAccount": {"create": False}},
    },
    "a gateway with a secret and a balancer": {
        "credentials": {"k": "v"},
        "gateway": GATEWAY
        | {
            "secret": "keys",
            "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
            "maxUnavailable": 2,
            "terminationGracePeriodSeconds": 120,
        },
    },
    "image": {
        "image": {"repository": "r/i", "digest": "sha256:" + "0" * 64, "pullSecrets": ["a", "b"]},
        "injection": {"image-pull-policy": "Always"},
        "gateway": GATEWAY,
    },
    "gateway from a source": {"gateway": {"enabled": True, "source": "etcd://e/llm/sidecar.yaml"}},
    "gateway with a table": {"gateway": GATEWAY | {"source": "consul://c/services"}},
    "cert-manager": {"webhook": {"certificates": {"source": "cert-manager"}}},
    "cert-manager, own issuer": {
        "webhook": {
            "certificates": {
                "source": "cert-manager",
                "issuerRef": {"name": "i", "kind": "ClusterIssuer"},
            }
        },
        "networkPolicy": {"enabled": True},
    },
    "secret": {"webhook": {"certificates": {"source": "secret", "secret": "s", "caBundle": "PEM"}}},
    "strict": {
        "webhook": {
            "failurePolicy": "Fail",
            "podSecurityDefault": "restricted",
            "excludedNamespaces": [],
            "timeoutSeconds": 30,
        },
        "networkPolicy": {"enabled": True, "apiServerPorts": [6443]},
    },
    "all settings": {
        "injection": {
            "mode": "capture",
            "lifecycle": "classic",
            "image": "other:1",
            "image-pull-policy": "Never",
            "config-map": "mine",
            "secret": "mine",
            "log-level": "debug",
            "apis": "openai",
            "azure-resource": "acme",
            "port": 15001,
            "cpu-request": "1",
            "cpu-limit": "2",
            "memory-request": "1Gi",
            "memory-limit": "2Gi",
            "capture-ports": "443",
            "exclude-ports": "22",
            "capture-cidrs": "0.0.0.0/0",
            "exclude-cidrs": "10.0.0.0/8",
        },
        "policy": POLICY,
    },
    "policy everywhere": {"policy": POLICY, "namespaces": ["a", "b"], "credentials": {"k": "v"}},
    "policies unchecked": {"webhook": {"policies": {"enabled": False}}, "policy": POLICY},
    "policies checked by a job": {
        "webhook": {"policies": {"job": True, "failurePolicy": "Fail"}},
        "policy": POLICY,
        "gateway": GATEWAY,
        "injector": {"tolerations": [{"operator": "Exists"}]},
    },
    "gateway": {"gateway": GATEWAY},
    "gateway, scaled": {
        "gateway": GATEWAY | {"autoscaling": {"enabled": True}},
        "monitoring": {"serviceMonitor": True, "labels": {"release": "prometheus"}},
    },
    "monitoring": {
        "monitoring": {"podMonitor": True, "serviceMonitor": True, "interval": "10s"},
        "dashboard": {"enabled": True, "labels": {}},
        "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "another's dependency": {"global": {"anything": 1}},
}

REFUSED: dict[str, tuple[Tree, str]] = {
    "a name that no Service can have": ({"fullnameOverride": "Mesh_1"}, "fullnameOverride"),
    "a label that is no text": ({"commonLabels": {"tier": 1}}, "commonLabels"),
    "a variable without a name": ({"gateway": {"extraEnv": [{"value": "x"}]}}, "extraEnv"),
    "a place that nobody knows": ({"gateway": {"nodeSelectors": {}}}, "nodeSelectors"),
    "an account's annotation that is no text": (
        {"gateway": {"serviceAccount": {"annotations": {"a": True}}}},
        "annotations",
    ),
    "a value that nobody knows": ({"replicas": 1}, "replicas"),
    "a setting that nobody knows": ({"injection": {"mood": "x"}}, "mood"),
    "a setting out of range": ({"injection": {"mode": "magic"}}, "mode"),
    "a key of the policy that nobody knows": ({"policy": POLICY | {"rutes": []}}, "policy"),
    "a policy without routes": ({"policy": {"listeners": POLICY["listeners"]}}, "policy"),
    "a bad duration in the policy": (
        {"policy": POLICY | {"policies": {"default": {"timeouts": {"idle": "soon"}}}}},
        "policy",
    ),
    "no choice": ({"webhook": {"failurePolicy": "Maybe"}}, "failurePolicy"),
    "no replica": ({"injector": {"replicas": 0}}, "replicas"),
    "a number for a text": ({"credentials": {"k": 1}}, "credentials"),
    "a gateway without a policy": (
        {"gateway": {"enabled": True}},
        "gateway.policy or gateway.source is required",
    ),
    "a gateway that only it itself can reach": (
        {"gateway": {"enabled": True, "policy": POLICY}},
        "no listener at 0.0.0.0:14001",
    ),
    "a secret without a name": (
        {"webhook": {"certificates": {"source": "secret", "caBundle": "x"}}},
        "certificates.secret is required",
    ),
    "a secret without a CA": (
        {"webhook": {"certificates": {"source": "secret", "secret": "x"}}},
        "certificates.caBundle is required",
    ),
}
