"""Reviews of pods of all shapes, and of what is none."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kube.names import CONTAINER, SKIPPED, STATUS
from sidecar.kube.patch import inject, uninject
from sidecar.kube.review import BadReview, answer
from sidecar.kube.settings import Settings
from tests.kube.corpus import corpus, pod
from tests.kube.reviews import patched, review

Tree = dict[str, Any]

PODS = {name: tree for name, tree in corpus().items() if "metadata" in tree}
EVERY = pytest.mark.parametrize("name", PODS)
SETTINGS = Settings(config_map="policy")
HOST = pod("hostNetwork: true, containers: [{name: a, image: a}]")


def respond(tree: Tree, settings: Settings = SETTINGS, **changes: Any) -> Tree:
    made = json.loads(answer(review(tree, **changes), settings).body)
    assert made["apiVersion"] == "admission.k8s.io/v1"
    assert made["kind"] == "AdmissionReview"
    response: Tree = made["response"]
    assert response["uid"] == "d3a5bd1c-6b1b-4a0f-9d6a-0d3c4a8f6a11"
    return response


@EVERY
def test_the_patch_makes_the_injected_pod(name: str) -> None:
    response = respond(PODS[name])
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert patched(PODS[name], response) == inject(PODS[name], SETTINGS).pod


@EVERY
def test_asked_again_there_is_nothing_to_patch(name: str) -> None:
    """`reinvocationPolicy: IfNeeded`: others may change the pod after us."""
    once = patched(PODS[name], respond(PODS[name]))
    again = respond(once)
    assert "patch" not in again
    assert "patchType" not in again
    stranger = copy.deepcopy(once)
    stranger["spec"]["containers"].insert(0, {"name": "stranger", "image": "s"})
    twice = patched(stranger, respond(stranger))
    assert "patch" not in respond(twice)
    assert twice["spec"]["initContainers"] == once["spec"]["initContainers"]


def test_a_dry_run_is_answered_like_any_other() -> None:
    assert respond(PODS["plain"], dryRun=True) == respond(PODS["plain"])


def test_a_skipped_pod_passes_and_says_why() -> None:
    response = respond(HOST)
    reason = "hostNetwork: the sidecar's ports would be the node's"
    assert response["allowed"] is True
    assert response["warnings"] == [f"no LLM sidecar: {reason}"]
    assert response["auditAnnotations"] == {"skipped": reason}
    made = patched(HOST, response)
    assert made["metadata"]["annotations"] == {SKIPPED: reason}
    assert made["spec"] == HOST["spec"]
    assert "patch" not in respond(made), "said once"


def test_a_pod_that_may_no_longer_have_it_loses_it() -> None:
    once = patched(PODS["plain"], respond(PODS["plain"]))
    once["spec"]["hostNetwork"] = True
    made = patched(once, respond(once))
    assert STATUS not in made["metadata"]["annotations"]
    assert "initContainers" not in made["spec"]


def test_bad_annotations_are_refused_and_named() -> None:
    bad = PODS["plain"] | {"metadata": {"annotations": {"llm-sidecar/mode": "magic"}}}
    response = respond(bad)
    assert response["allowed"] is False
    assert response["status"] == {
        "code": 422,
        "reason": "Invalid",
        "message": "LLM sidecar: llm-sidecar/mode: invalid enum value 'magic'",
    }
    assert "patch" not in response


def test_where_net_admin_is_forbidden() -> None:
    body = review(PODS["plain"])
    made = json.loads(
        answer(body, Settings(mode="capture", config_map="c"), no_net_admin=True).body
    )["response"]
    assert "instead of capture" in made["warnings"][0]
    assert "NET_ADMIN" not in json.dumps(patched(PODS["plain"], made))


def test_warnings_are_short_enough_to_be_handed_on() -> None:
    names = ", ".join(f"{{name: {'c' * 60}{i}, image: c, envFrom: [{{}}]}}" for i in range(3))
    long = pod(f"containers: [{names}]")
    warnings = respond(long)["warnings"]
    assert len(warnings) == 3
    assert all(len(text) <= 256 for text in warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "UPDATE"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}},
        {"object": None, "operation": "DELETE"},
    ],
)
def test_what_is_no_new_pod_passes(changes: Tree) -> None:
    assert respond(PODS["plain"], **changes) == {
        "uid": "d3a5bd1c-6b1b-4a0f-9d6a-0d3c4a8f6a11",
        "allowed": True,
        "warnings": [],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {}}',
        b'{"kind": "Pod", "apiVersion": "v1"}',
    ],
)
def test_what_is_no_review(body: bytes) -> None:
    with pytest.raises(BadReview):
        answer(body, SETTINGS)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(body: bytes) -> None:
    with pytest.raises(BadReview):
        answer(body, SETTINGS)


@pytest.mark.parametrize("name", PODS)
def test_taking_out_what_the_webhook_put_in(name: str) -> None:
    made = patched(PODS[name], respond(PODS[name]))
    spec = uninject(made)["spec"]
    assert CONTAINER in [c["name"] for c in made["spec"]["initContainers"]]
    assert CONTAINER not in [c["name"] for c in spec.get("initContainers", [])]
