"""Which pods get no sidecar, and what owners of the others should know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sidecar.kube.names import (
    ADMIN_PORT,
    CONTAINER,
    CONTAINERS,
    HEALTH_PORT,
    INJECT,
    STATUS,
    UID,
)
from sidecar.kube.settings import Settings

Tree = dict[str, Any]

_MIRROR: Final = "kubernetes.io/config.mirror"
"""Annotation of a kubelet's own pod as the API shows it: a picture that nothing can change."""
_OS_LABELS: Final = ("kubernetes.io/os", "beta.kubernetes.io/os")
"""Labels of nodes (Kubernetes, Well-Known Labels), the second one as old charts have it."""


def containers_of(spec: Tree) -> list[Tree]:
    """All containers of a pod, in the order in which they start."""
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def not_eligible(pod: Tree) -> str | None:
    """Return why this pod gets no sidecar; None if it gets one."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    if (metadata.get("labels") or {}).get(INJECT) == "disabled":
        return f"its label {INJECT} is disabled"
    if _MIRROR in annotations:
        return "it mirrors a kubelet's own pod"
    if spec.get("hostNetwork"):
        return "hostNetwork: the sidecar's ports would be the node's"
    if why := _windows(spec):
        return f"the sidecar does not run on Windows ({why})"
    if not spec.get("containers"):
        return "it has no containers"
    if STATUS not in annotations and any(c.get("name") in CONTAINERS for c in containers_of(spec)):
        return f"it has a container {CONTAINER} that was not injected"
    return None


def _windows(spec: Tree) -> str | None:
    """What says that the pod is for Windows nodes, if anything does."""
    if (spec.get("os") or {}).get("name") == "windows":
        return "os"
    selector = spec.get("nodeSelector") or {}
    if any(selector.get(label) == "windows" for label in _OS_LABELS):
        return "nodeSelector"
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    # A node has to fit one of the terms, and all expressions of that.
    if terms and all(any(map(_asks_for_windows, _expressions(term))) for term in terms):
        return "affinity"
    return None


def _expressions(term: Tree) -> list[Tree]:
    return term.get("matchExpressions") or []


def _asks_for_windows(expression: Tree) -> bool:
    return (
        expression.get("key") in _OS_LABELS
        and expression.get("operator") == "In"
        and expression.get("values") == ["windows"]
    )


def conflict(spec: Tree, settings: Settings) -> str | None:
    """A container of the user's that has one of our ports would keep the whole pod down."""
    ours = {settings.port, HEALTH_PORT, ADMIN_PORT}
    for container in containers_of(spec):
        for port in container.get("ports") or ():
            if port.get("containerPort") in ours:
                return f"container {container.get('name')} has port {port['containerPort']}"
    return None


def advice(spec: Tree, settings: Settings) -> Iterator[str]:
    """What works, but perhaps not as its owner thinks."""
    job = spec.get("restartPolicy") in ("Never", "OnFailure")
    if settings.lifecycle == "classic" and job:
        yield (
            "lifecycle classic: the pod ends only when the application has sent POST "
            f"http://127.0.0.1:{ADMIN_PORT}/quit"
        )
    if settings.mode == "capture":
        for container in spec["containers"]:
            if (container.get("securityContext") or {}).get("runAsUser") == UID:
                yield f"container {container.get('name')} runs as {UID}: it is not captured"
