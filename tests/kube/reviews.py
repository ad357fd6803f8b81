"""AdmissionReviews as an API server sends them, and what it makes of the answer."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

Tree = dict[str, Any]


def review(pod: Tree, **changes: Any) -> bytes:
    """With all the fields that a real one has (as recorded from kube-apiserver 1.36)."""
    request = {
        "uid": "d3a5bd1c-6b1b-4a0f-9d6a-0d3c4a8f6a11",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters"]},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **changes,
    }
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(whole).encode()


def patched(pod: Tree, response: Tree) -> Tree:
    """*pod* after the patch of *response* (RFC 6902: what `add` and `remove` mean for members)."""
    made = copy.deepcopy(pod)
    for step in json.loads(base64.b64decode(response.get("patch", "W10="))):
        *parents, last = step["path"].lstrip("/").split("/")
        target = made
        for parent in parents:
            target = target[parent]
        if step["op"] == "add":
            target[last] = step["value"]
        else:
            assert step["op"] == "remove"
            del target[last]
    return made
