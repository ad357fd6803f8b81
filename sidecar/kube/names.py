"""Names that stand in other people's manifests: labels, annotations, containers, volumes, ports.

Whoever renames one breaks pods that run: an injector has to know what an older one has added.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "llm-sidecar/"
INJECT: Final = PREFIX + "inject"
"""Label of a namespace or a pod: `enabled` or `disabled`."""
POLICY: Final = PREFIX + "policy"
"""Label of ConfigMaps that hold a policy, whose changes are reviewed: `enabled`."""
INJECTED: Final = PREFIX + "injected"
"""Label of pods that have the sidecar, for monitors and network policies to select."""
VERSION: Final = PREFIX + "version"
"""Label: of the injector that did it, by which pods with an old sidecar are found."""
STATUS: Final = PREFIX + "status"
"""Annotation: what was added, so that it can be taken out again."""
SKIPPED: Final = PREFIX + "skipped"
"""Annotation: why a pod did not get the sidecar. A controller's pods have no other place for it."""
OURS: Final = frozenset({STATUS, SKIPPED})
"""Annotations under our prefix that are no settings."""

CONTAINER: Final = "llm-sidecar"
REDIRECT: Final = "llm-sidecar-redirect"
TRUST: Final = "llm-sidecar-trust"
CONFIG_VOLUME: Final = "llm-sidecar-config"
SECRET_VOLUME: Final = "llm-sidecar-secret"  # noqa: S105
CA_VOLUME: Final = "llm-sidecar-ca"
STATE_VOLUME: Final = "llm-sidecar-state"
CONTAINERS: Final = frozenset({CONTAINER, REDIRECT, TRUST})
VOLUMES: Final = frozenset({CONFIG_VOLUME, SECRET_VOLUME, CA_VOLUME, STATE_VOLUME})

CONFIG_FOLDER: Final = "/etc/llm-sidecar"
CONFIG_KEY: Final = "sidecar.yaml"
"""Of a ConfigMap, and so the file's name in pods."""
CONFIG_FILE: Final = f"{CONFIG_FOLDER}/{CONFIG_KEY}"
SECRET_FOLDER: Final = "/var/run/secrets/llm-sidecar"  # noqa: S105

UID: Final = 1414
"""Whom captured connections are not taken from, or the sidecar would capture its own."""
HEALTH_PORT: Final = 14011
PROXY_PORT: Final = 14002
CAPTURE_PORT: Final = 14003
ADMIN_PORT: Final = 14010

MESHES: Final = frozenset(
    {
        "istio-init",
        "istio-validation",
        "istio-proxy",
        "linkerd-init",
        "linkerd-network-validator",
        "linkerd-proxy",
    }
)
"""Containers of other meshes (Istio's and Linkerd's injectors), which go before ours: our own
connections have to find them ready, and in capture mode the later rules see a connection first."""
