"""The sidecar put into a pod and taken out again: pure functions from a pod to a pod.

Injecting takes out first what an earlier injection added, so that doing it twice, with another
injector's container added in between, ends where doing it once does. The annotation `status` says
what was added to the user's own containers; whole containers and volumes are known by their names.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Struct

from sidecar import __version__
from sidecar.kube import environment
from sidecar.kube.containers import redirect, sidecar, trust, volumes
from sidecar.kube.eligibility import advice, conflict, containers_of, not_eligible
from sidecar.kube.names import (
    CA_VOLUME,
    CONTAINERS,
    INJECTED,
    MESHES,
    SKIPPED,
    STATUS,
    VERSION,
    VOLUMES,
)
from sidecar.kube.settings import Settings, with_annotations

Tree = dict[str, Any]


class Status(Struct, frozen=True, omit_defaults=True):
    """What was added to the user's containers, by the container's name, and how to take it out."""

    version: str
    mode: str
    env: dict[str, list[str]] = {}
    mounts: list[str] = []
    empty: list[str] = []
    """Paths of lists and mappings that were there, though they were empty."""


class Skipped(Exception):
    """The pod stays as it is; the message says why."""


class Injected(Struct, frozen=True):
    """A pod with the sidecar in it, and what its owner should know."""

    pod: Tree
    warnings: list[str]


def inject(pod: Tree, defaults: Settings, *, no_net_admin: bool = False) -> Injected:
    """Put the sidecar into a copy of *pod*, which has `metadata` and `spec`.

    *no_net_admin*: PodSecurity forbids it there. Raise Skipped, or BadSettings for annotations that
    can't be taken.
    """
    reason = not_eligible(pod)
    if reason:
        raise Skipped(reason)
    clean = uninject(pod)
    empty = [*_empty(clean)]
    metadata = clean["metadata"] = clean.get("metadata") or {}
    spec = clean["spec"]
    settings = with_annotations(defaults, metadata.get("annotations") or {})
    warnings = []
    if no_net_admin and settings.mode == "capture":
        settings = msgspec.structs.replace(settings, mode="base-url")
        warnings.append(
            "PodSecurity forbids NET_ADMIN here, so mode base-url is used instead of capture"
        )
    reason = conflict(spec, settings)
    if reason:
        raise Skipped(reason)
    warnings += advice(spec, settings)
    reachable = _place(spec, settings)
    status = msgspec.structs.replace(_lead(reachable, settings, warnings), empty=empty)
    spec["volumes"] = [*(spec.get("volumes") or ()), *volumes(settings)]
    _tidy(spec, ["volumes"])
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        STATUS: msgspec.json.encode(status).decode(),
    }
    labels = metadata.get("labels") or {}
    # A `+` of a local version may not stand in a label.
    metadata["labels"] = {**labels, INJECTED: "true", VERSION: __version__.replace("+", "_")}
    return Injected(clean, warnings)


def uninject(pod: Tree) -> Tree:
    """A copy of *pod* without all that an injection added."""
    made = copy.deepcopy(pod)
    metadata, spec = made.get("metadata") or {}, made.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    if annotations.pop(SKIPPED, None) is not None:
        _tidy(metadata, ["annotations"])
    text = annotations.pop(STATUS, None)
    if text is None:
        return made
    status = _status(text)
    for label in (INJECTED, VERSION):
        (metadata.get("labels") or {}).pop(label, None)
    for kind in ("initContainers", "containers"):
        spec[kind] = [c for c in spec.get(kind) or () if c.get("name") not in CONTAINERS]
        for container in spec[kind]:
            _clear(container, status)
    spec["volumes"] = [v for v in spec.get("volumes") or () if v.get("name") not in VOLUMES]
    _tidy(spec, ["initContainers", "volumes"], "spec.", status)
    _tidy(metadata, ["labels", "annotations"], "metadata.", status)
    _tidy(made, ["metadata"], "", status)
    return made


def _empty(pod: Tree) -> Iterator[str]:
    """Paths of what an injection may fill, where it is there and empty."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    places = [
        ("", pod, ("metadata",)),
        ("metadata.", metadata, ("labels", "annotations")),
        ("spec.", spec, ("initContainers", "volumes")),
        *((f"{c.get('name')}.", c, ("env", "volumeMounts")) for c in containers_of(spec)),
    ]
    for path, tree, keys in places:
        yield from (f"{path}{key}" for key in keys if key in tree and not tree[key])


def _status(text: str) -> Status:
    """Whoever writes nonsense into the annotation loses what it knew, not the pod."""
    try:
        return msgspec.json.decode(text, type=Status)
    except (msgspec.DecodeError, UnicodeError):
        return Status(version="", mode="")


def _clear(container: Tree, status: Status) -> None:
    name = container.get("name", "")
    added = status.env.get(name, [])
    if added:
        container["env"] = [v for v in container.get("env") or () if v.get("name") not in added]
        _tidy(container, ["env"], f"{name}.", status)
    if name in status.mounts:
        mounts = container.get("volumeMounts") or ()
        container["volumeMounts"] = [m for m in mounts if m.get("name") != CA_VOLUME]
        _tidy(container, ["volumeMounts"], f"{name}.", status)


def _tidy(tree: Tree, keys: list[str], path: str = "", status: Status | None = None) -> None:
    """Leave no empty list or mapping behind, but those that were there."""
    for key in keys:
        if key in tree and not tree[key] and (not status or f"{path}{key}" not in status.empty):
            del tree[key]


def _place(spec: Tree, settings: Settings) -> list[Tree]:
    """Add the containers. Return the user's containers that run while the sidecar does."""
    first = [redirect(settings)] if settings.mode == "capture" else []
    first += [trust(settings)] if settings.mode != "base-url" else []
    ours = sidecar(settings, meshed=any(c.get("name") in MESHES for c in containers_of(spec)))
    inits, apps = list(spec.get("initContainers") or ()), list(spec["containers"])
    at = max((i + 1 for i, c in enumerate(inits) if c.get("name") in MESHES), default=0)
    if settings.lifecycle == "native":
        reachable = inits[at:] + apps
        inits[at:at] = [*first, ours]
    else:
        # Captured before there is a sidecar, an init container could reach nothing: rules go last.
        inits, reachable = inits + first, list(apps)
        leading = takewhile(lambda c: c.get("name") in MESHES, apps)
        apps.insert(sum(1 for _ in leading), ours)
    spec["initContainers"], spec["containers"] = inits, apps
    _tidy(spec, ["initContainers"])
    return [container for container in reachable if container.get("name") not in MESHES]


def _lead(containers: list[Tree], settings: Settings, warnings: list[str]) -> Status:
    """Lead the calls of *containers* to the sidecar."""
    wanted = environment.variables(settings)
    env: dict[str, list[str]] = {}
    mounts: list[str] = []
    for container in containers:
        name = container.get("name", "")
        if settings.mode != "base-url":
            if not environment.mount_ca(container):
                warnings.append(
                    f"container {name} already mounts a volume where the CA bundle goes"
                )
                continue
            mounts.append(name)
        added = environment.add(container, wanted)
        if added:
            env[name] = added
        if hidden := environment.hidden(container, added):
            warnings.append(
                f"container {name}: {', '.join(hidden)} set here would override envFrom"
            )
    return Status(version=__version__, mode=settings.mode, env=env, mounts=mounts)
