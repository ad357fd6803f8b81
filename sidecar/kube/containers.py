"""The containers and volumes that a pod gets.

Everything here passes PodSecurity's `restricted` (Kubernetes, Pod Security Standards), but for the
init container that redirects connections, which needs NET_ADMIN and so a `privileged` namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sidecar.kube.environment import BUNDLE, CA_FOLDER, TRUST_STORE, identity
from sidecar.kube.names import (
    CA_VOLUME,
    CAPTURE_PORT,
    CONFIG_FILE,
    CONFIG_FOLDER,
    CONFIG_VOLUME,
    CONTAINER,
    HEALTH_PORT,
    REDIRECT,
    SECRET_FOLDER,
    SECRET_VOLUME,
    STATE_VOLUME,
    TRUST,
    UID,
)
from sidecar.kube.settings import Settings

Tree = dict[str, Any]

_STARTS_WITHIN: Final = 60
"""Seconds until the kubelet starts it again: a slow node needs five."""
_STILL_SERVES: Final = 5
"""Classic containers are all told to stop at once. Ours serves this many seconds on, so that an
application that makes a last call while it stops is not refused."""
_STATE: Final = "/var/lib/llm-sidecar"
"""Where the pod's own CA has its key. Only our containers see it, and it dies with the pod."""
_LOCKED: Final[Tree] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# nft gets the capability from its file; a process that may gain none by an exec would not get it.
_MAY_REDIRECT: Final[Tree] = _LOCKED | {
    "allowPrivilegeEscalation": True,
    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
}


def sidecar(settings: Settings, *, meshed: bool) -> Tree:
    """The container that carries the calls. *meshed*: another mesh's proxy is in the pod."""
    made: Tree = _common(CONTAINER, settings) | {
        "args": [*_arguments(settings)],
        "ports": [{"name": "llm-sidecar", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        **_probes(meshed=meshed),
    }
    made["env"] = [*made.get("env", ()), *_keeps(settings), *identity()]
    if settings.lifecycle == "native":
        made["restartPolicy"] = "Always"
    else:
        made["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_STILL_SERVES)]}}}
    if mounts := [*made.get("volumeMounts", ()), *_mounts(settings)]:
        made["volumeMounts"] = mounts
    return made


def redirect(settings: Settings) -> Tree:
    """The init container that writes the pod's redirect rules, and ends."""
    arguments = ["redirect", "install", "--uid", str(UID), "--to", str(CAPTURE_PORT)]
    for flag, value in (
        ("--ports", settings.capture_ports),
        ("--exclude-ports", settings.exclude_ports),
        ("--cidrs", settings.capture_cidrs),
        ("--exclude-cidrs", settings.exclude_cidrs),
    ):
        arguments += [flag, value] if value else []
    rights = {"args": arguments, "securityContext": _MAY_REDIRECT}
    return _common(REDIRECT, settings) | rights


def trust(settings: Settings) -> Tree:
    """The init container that makes the pod's CA, writes what clients are to trust, and ends."""
    script = f"sidecar ca bundle -o {BUNDLE} && sidecar ca truststore -o {TRUST_STORE}"
    made = _common(TRUST, settings) | {"command": ["sh", "-c", script]}
    made["volumeMounts"] = [*made["volumeMounts"], {"name": CA_VOLUME, "mountPath": CA_FOLDER}]
    return made


def _common(name: str, settings: Settings) -> Tree:
    made: Tree = {"name": name, "image": settings.image}
    if settings.image_pull_policy:
        made["imagePullPolicy"] = settings.image_pull_policy
    made |= {
        "resources": _resources(settings),
        "securityContext": _LOCKED,
        # A container that refuses its policy has the reason shown by `kubectl describe pod`, also
        # where it could not write its termination message.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if _has_files(settings):
        made["env"] = [{"name": "XDG_STATE_HOME", "value": _STATE}]
    if _has_state(settings):
        made["volumeMounts"] = [{"name": STATE_VOLUME, "mountPath": _STATE}]
    return made


def volumes(settings: Settings) -> list[Tree]:
    """What the containers mount. The kubelet swaps changed files in (never with `subPath`)."""
    made: list[Tree] = []
    if settings.config_map:
        made.append({"name": CONFIG_VOLUME, "configMap": {"name": settings.config_map}})
    if settings.secret:
        made.append({"name": SECRET_VOLUME, "secret": {"secretName": settings.secret}})
    small = {"sizeLimit": "16Mi"}
    if _has_state(settings):
        made.append({"name": STATE_VOLUME, "emptyDir": small})
    if settings.mode != "base-url":
        made.append({"name": CA_VOLUME, "emptyDir": small})
    return made


def _has_files(settings: Settings) -> bool:
    """Whether the sidecar has files of its own: a CA, or the last text of a source."""
    return settings.mode != "base-url" or bool(settings.config_source)


def _has_state(settings: Settings) -> bool:
    """Whether it writes anything: these, or the last policy that was good."""
    return _has_files(settings) or bool(settings.config_map)


def _keeps(settings: Settings) -> Iterator[Tree]:
    """Yield what has the last good policy kept, for a restart of the container at a bad one."""
    if settings.config_map:
        yield {"name": "SIDECAR_STATE", "value": _STATE}


def _arguments(settings: Settings) -> Iterator[str]:
    yield from ("run", "--health-port", str(HEALTH_PORT))
    if settings.config_map:
        yield from ("-c", CONFIG_FILE)
    if settings.config_source:
        yield from ("-c", settings.config_source)
    if settings.log_level:
        yield from ("--log-level", settings.log_level)


def _mounts(settings: Settings) -> Iterator[Tree]:
    if settings.config_map:
        yield {"name": CONFIG_VOLUME, "mountPath": CONFIG_FOLDER, "readOnly": True}
    if settings.secret:
        yield {"name": SECRET_VOLUME, "mountPath": SECRET_FOLDER, "readOnly": True}


def _resources(settings: Settings) -> Tree:
    requests = {"cpu": settings.cpu_request, "memory": settings.memory_request}
    limits = {"cpu": settings.cpu_limit, "memory": settings.memory_limit}
    given = {
        name: {key: value for key, value in amounts.items() if value}
        for name, amounts in (("requests", requests), ("limits", limits))
    }
    return {name: amounts for name, amounts in given.items() if amounts}


def _probes(*, meshed: bool) -> Tree:
    """The application starts when ours is up. What the LLMs do has no say in any of them.

    A mesh may let only its own peers in, which the kubelet is not: there the question is asked from
    inside. That starts a Python each time, so that it is asked no more once the sidecar is up.
    """
    patience = {"periodSeconds": 1, "failureThreshold": _STARTS_WITHIN}
    if meshed:
        command = ["sidecar", "ready", "--port", str(HEALTH_PORT)]
        return {"startupProbe": {"exec": {"command": command}, "timeoutSeconds": 5, **patience}}
    ready = {"httpGet": {"path": "/ready", "port": HEALTH_PORT}}
    live = {"httpGet": {"path": "/live", "port": HEALTH_PORT}}
    return {
        "startupProbe": {**ready, **patience},
        "readinessProbe": {**ready, "periodSeconds": 5},
        "livenessProbe": {**live, "periodSeconds": 10, "failureThreshold": 6},
    }
