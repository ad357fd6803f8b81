"""Reviews of ConfigMaps: a bad policy is refused, and nothing else is held up."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from sidecar.kube.names import CONFIG_KEY, POLICY
from sidecar.kube.policy_review import answer
from sidecar.kube.review import BadReview
from tests.kube.reviews import review

Tree = dict[str, Any]

GOOD = """\
listeners: [{address: "127.0.0.1:14001"}]
upstreams:
  u:
    endpoints: [{url: "https://u.example"}]
    credentials: {header: authorization, value: "Bearer ${file:/var/run/secrets/llm-sidecar/key}"}
routes:
  - {match: {path: /v1/}, upstream: u}
"""
TYPO = GOOD.replace("upstream: u", "upstrem: u")


def config_map(text: str | None = GOOD, **more: Any) -> Tree:
    data = {} if text is None else {CONFIG_KEY: text}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "policy", "labels": {POLICY: "enabled"}, **more.pop("metadata", {})},
        "data": {**data, **more.pop("data", {})},
        **more,
    }


def reviewed(new: Tree | None, old: Tree | None = None, **changes: Any) -> tuple[str, Tree]:
    """What became of it, and the response."""
    changes = {
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "operation": "CREATE" if old is None else "UPDATE",
        "oldObject": old,
        **changes,
    }
    made = answer(review(new or {}, **changes))
    response = json.loads(made.body)["response"]
    assert response["uid"]
    return made.result, response


def test_a_good_policy_passes_without_its_secrets() -> None:
    result, response = reviewed(config_map())
    assert (result, response["allowed"], response["warnings"]) == ("accepted", True, [])


def test_a_bad_one_is_refused_with_line_key_and_remedy() -> None:
    result, response = reviewed(config_map(TYPO))
    assert (result, response["allowed"]) == ("denied", False)
    assert response["status"]["code"] == 422
    assert response["status"]["message"] == (
        "LLM sidecar: 1 mistake in the policy\n"
        'sidecar.yaml:7: routes[0].upstrem: unknown key (did you mean "upstream"?)'
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("upstream: u}", "upstream: w}"), "routes[0].upstream"),
        ("routes: [", "sidecar.yaml:1"),
        ("", "listeners"),
        ("a: 1\x00", "control character"),
        (GOOD.replace("${file:/var", "${fil:/var"), "expected ${env:NAME} or ${file:PATH}"),
    ],
)
def test_all_kinds_of_mistakes(text: str, told: str) -> None:
    result, response = reviewed(config_map(text))
    assert result == "denied"
    assert told in response["status"]["message"]


def test_doubts_are_warnings() -> None:
    doubtful = GOOD.replace("https://u.example", "https://u.example/v1")
    result, response = reviewed(config_map(doubtful))
    assert (result, response["allowed"]) == ("accepted", True)
    (warning,) = response["warnings"]
    assert warning.startswith("sidecar.yaml:7: routes[0].match.path: calls are sent to /v1/v1/")


def test_without_the_key_that_sidecars_read() -> None:
    result, response = reviewed(config_map(None, data={"policy.yaml": GOOD}))
    assert result == "denied"
    assert "no key sidecar.yaml" in response["status"]["message"]


def test_references_to_the_same_map_are_followed() -> None:
    for place in ("/etc/llm-sidecar/host", "host"):
        text = GOOD.replace("https://u.example", f"${{file:{place}}}")
        assert reviewed(config_map(text, data={"host": "https://u.example\n"}))[0] == "accepted"
        assert reviewed(config_map(text, data={"host": "ftp://u"}))[0] == "denied"


def test_it_never_reads_what_is_the_injectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy's author could otherwise ask for the injector's own secrets, bit by bit."""

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "stat", forbidden)
    monkeypatch.setenv("URL", "ftp://secret")
    text = GOOD.replace("https://u.example", "${env:URL}")
    text = text.replace("{path: /v1/}", '{path: "${file:/etc/hostname}"}')
    assert reviewed(config_map(text))[0] == "accepted"


def test_what_passes_unread() -> None:
    bad, old = config_map(TYPO), config_map(TYPO)
    relabelled = config_map(TYPO, metadata={"annotations": {"a": "b"}})
    assert reviewed(relabelled, old)[0] == "ignored", "the data is as it was"
    deleted = config_map(TYPO, metadata={"deletionTimestamp": "2026-11-28T00:00:00Z"})
    assert reviewed(deleted, config_map())[0] == "ignored", "or its finalizer would stay"
    assert reviewed(config_map(TYPO, metadata={"labels": {}}), config_map())[0] == "ignored"
    assert reviewed(None, old, operation="DELETE")[0] == "ignored"
    pods = {"group": "", "version": "v1", "resource": "pods"}
    assert reviewed(bad, resource=pods)[0] == "ignored"
    for _, response in (reviewed(relabelled, old), reviewed(deleted, old)):
        assert response["allowed"] is True


def test_what_is_read_though_it_was_there_before() -> None:
    unlabelled = config_map(TYPO)
    unlabelled["metadata"]["labels"] = {}
    assert reviewed(config_map(TYPO), unlabelled)[0] == "denied", "it becomes a policy now"
    assert reviewed(config_map(TYPO), config_map())[0] == "denied"
    assert reviewed(config_map(), config_map(TYPO))[0] == "accepted"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]"])
def test_what_is_no_review(body: bytes) -> None:
    with pytest.raises(BadReview):
        answer(body)
