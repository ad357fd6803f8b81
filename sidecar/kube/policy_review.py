"""Answers AdmissionReviews of ConfigMaps that hold a policy: a bad one is refused. Pure.

The check is `sidecar check --offline`: the injector has none of the secrets that a policy refers
to, and must never look for them among its own. References to other keys of the ConfigMap, which
are mounted beside the policy, are followed.

What could hold up a cluster passes: an object that is being deleted, since a finalizer may have to
be taken off it, and one whose data stays as it was. The chart's `matchConditions` say the same, so
that it passes when no injector answers, too.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from sidecar.kube.names import CONFIG_FOLDER, CONFIG_KEY, POLICY
from sidecar.kube.review import Answer, answered, request_of

if TYPE_CHECKING:
    from sidecar.config.read.references import Kind

Tree = dict[str, Any]

_MEMBERS: Final = ("data", "binaryData")


def answer(body: bytes) -> Answer:
    """Answer the review in *body*. Raise BadReview when there is none in it."""
    request = request_of(body)
    if not _has_news(request):
        return answered(request, "ignored", {})
    data = request["object"].get("data") or {}
    if CONFIG_KEY not in data:
        told = f"the ConfigMap has no key {CONFIG_KEY}, which sidecars read; add it, or take the "
        return _refused(request, f"{told}label {POLICY} away")
    # Late: an injector that reviews no policy needs no schema.
    from sidecar.config.load import ConfigErrors, load

    def beside(kind: Kind, name: str) -> str:
        """Read another key of the ConfigMap."""
        folder, key = posixpath.split(name)
        if kind == "env" or folder not in ("", CONFIG_FOLDER) or key not in data:
            raise LookupError
        return str(data[key])

    try:
        loaded = load(data[CONFIG_KEY], file=CONFIG_KEY, resolve=beside, offline=True)
    except ConfigErrors as errors:
        count = len(errors.errors)
        found = f"{count} mistake{'' if count == 1 else 's'} in the policy"
        return _refused(request, f"{found}\n{errors}")
    return answered(request, "accepted", {"warnings": [*map(str, loaded.warnings)]})


def _has_news(request: Tree) -> bool:
    """Whether there is data that was not reviewed yet."""
    resource, new = request.get("resource"), request.get("object")
    if not isinstance(resource, dict) or not isinstance(new, dict):
        return False
    if (resource.get("group"), resource.get("resource")) != ("", "configmaps"):
        return False
    if not _is_policy(new) or new["metadata"].get("deletionTimestamp"):
        return False
    if request.get("operation") != "UPDATE":
        return request.get("operation") == "CREATE"
    old = request.get("oldObject") or {}
    return not _is_policy(old) or any(old.get(member) != new.get(member) for member in _MEMBERS)


def _is_policy(tree: Tree) -> bool:
    """Whether it has the label. API servers also ask if only the object before had it."""
    return POLICY in ((tree.get("metadata") or {}).get("labels") or {})


def _refused(request: Tree, message: str) -> Answer:
    status = {"code": 422, "reason": "Invalid", "message": f"LLM sidecar: {message}"}
    return answered(request, "denied", {"allowed": False, "status": status})
