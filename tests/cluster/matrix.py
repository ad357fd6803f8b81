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

MATRIX: dict[str, Tree] = {
    "defaults": {},
    "openai": example("openai"),
    "vllm-fleet": example("vllm-fleet"),
    "mixed": example("mixed"),
    "one replica": {"injector": {"replicas": 1}},
    "every place": {
        "injector": {
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "podLabels": {"team": "a"},
            "resources": {},
        }
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
    "a secret without a name": (
        {"webhook": {"certificates": {"source": "secret", "caBundle": "x"}}},
        "certificates.secret is required",
    ),
    "a secret without a CA": (
        {"webhook": {"certificates": {"source": "secret", "secret": "x"}}},
        "certificates.caBundle is required",
    ),
}
