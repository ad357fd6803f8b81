"""Answers AdmissionReviews of pods (Kubernetes, admission.k8s.io/v1). Pure.

A pod is refused only when its own annotations ask for something impossible: its owner can mend
that, and a controller shows the refusal as an event. Any other pod without a sidecar passes as it
is, and the reason is told: to its creator in a warning, to others in an annotation.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec
from msgspec import Struct

from sidecar.kube.names import SKIPPED
from sidecar.kube.patch import Skipped, inject, uninject
from sidecar.kube.settings import BadSettings, Settings

Tree = dict[str, Any]

_VERSION: Final = "admission.k8s.io/v1"
_PATCHED: Final = {
    "metadata": ("annotations", "labels"),
    "spec": ("containers", "initContainers", "volumes"),
}
_WARNING: Final = 256
"""Characters of a warning that an API server hands on for certain."""


class BadReview(ValueError):
    """The body is no review that could be answered."""


class Answer(Struct, frozen=True):
    """What to send, and a word for what became of the review, to count."""

    body: bytes
    result: str


def answer(body: bytes, settings: Settings, *, no_net_admin: bool = False) -> Answer:
    """Answer the review in *body*. Raise BadReview when there is none in it."""
    request = request_of(body)
    if not _is_new_pod(request):
        return answered(request, "ignored", {})
    pod = request["object"]
    try:
        made = inject(pod, settings, no_net_admin=no_net_admin)
    except Skipped as skipped:
        said = {
            "warnings": [f"no LLM sidecar: {skipped}"],
            "auditAnnotations": {"skipped": str(skipped)},
        }
        return answered(request, "skipped", said | _patch(pod, _noted(pod, str(skipped))))
    except BadSettings as error:
        status = {"code": 422, "reason": "Invalid", "message": f"LLM sidecar: {error}"}
        return answered(request, "refused", {"allowed": False, "status": status})
    return answered(request, "injected", {"warnings": made.warnings} | _patch(pod, made.pod))


def request_of(body: bytes) -> Tree:
    """The request of the review in *body*. Raise BadReview when there is none in it."""
    try:
        review = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadReview(f"expected an AdmissionReview: {error}") from error
    if review.get("kind") != "AdmissionReview" or review.get("apiVersion") != _VERSION:
        raise BadReview(f"expected an AdmissionReview of {_VERSION}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise BadReview("expected a request with a uid")
    return request


def _is_new_pod(request: Tree) -> bool:
    resource = request.get("resource")
    return (
        isinstance(resource, dict)
        and (resource.get("group"), resource.get("resource")) == ("", "pods")
        and not request.get("subResource")
        and request.get("operation") == "CREATE"
        and isinstance(request.get("object"), dict)
    )


def answered(request: Tree, result: str, said: Tree) -> Answer:
    """Answer *request* with what is *said*; it is allowed, unless that says otherwise."""
    response = {"uid": request["uid"], "allowed": True, **said}
    response["warnings"] = [text[:_WARNING] for text in response.get("warnings", ())]
    review = {"apiVersion": _VERSION, "kind": "AdmissionReview", "response": response}
    return Answer(msgspec.json.encode(review), result)


def _noted(pod: Tree, reason: str) -> Tree:
    """*pod* with the reason in an annotation, and without what an earlier injection added."""
    clean = uninject(pod)
    metadata = clean.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), SKIPPED: reason}
    return clean | {"metadata": metadata | {"annotations": annotations}}


def _patch(old: Tree, new: Tree) -> Tree:
    """A JSON patch (RFC 6902) from *old* to *new*, if there is anything to change."""
    steps: list[Tree] = []
    for part, keys in _PATCHED.items():
        before, after = old.get(part) or {}, new.get(part) or {}
        for key in keys:
            path = f"/{part}/{key}"
            if key not in after and key in before:
                steps.append({"op": "remove", "path": path})
            elif after.get(key) != before.get(key):
                steps.append({"op": "add", "path": path, "value": after[key]})
    if not steps:
        return {}
    patch = base64.b64encode(msgspec.json.encode(steps)).decode()
    return {"patchType": "JSONPatch", "patch": patch}
