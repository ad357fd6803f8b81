from __future__ import annotations

import pytest

from sidecar.kube.settings import BadSettings, Settings, changed, with_annotations


def test_texts_become_what_the_fields_are() -> None:
    made = changed(Settings(), {"port": "15001", "mode": "proxy", "config-map": "c"})
    assert made == Settings(port=15001, mode="proxy", config_map="c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "transparent"),
        ("lifecycle", "ambient"),
        ("image", ""),
        ("image-pull-policy", "Sometimes"),
        ("config-map", "Not_A_Name"),
        ("secret", "-x"),
        ("log-level", "loud"),
        ("apis", "openai,cohere"),
        ("azure-resource", "a/b"),
        ("port", "0"),
        ("port", "65536"),
        ("port", "http"),
        ("cpu-request", "lots"),
        ("memory-limit", "1 GB"),
        ("mode", "capture"),
        ("capture-ports", "443,http"),
        ("capture-ports", "8010-8000"),
        ("exclude-ports", "65536"),
        ("capture-cidrs", "10.0.0.0/33"),
        ("exclude-cidrs", "10.0.0.1/8"),
        ("image_pull_policy", "Always"),
    ],
)
def test_what_can_not_be_had_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings) as raised:
        with_annotations(Settings(), {f"llm-sidecar/{name}": value})
    assert [problem.split(":")[0] for problem in raised.value.problems] == [f"llm-sidecar/{name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capture-cidrs", "10.0.0.0/8, fd00::/8"),
        ("exclude-ports", ""),
        ("capture-ports", "443,8000-8010"),
        ("cpu-limit", "1.5"),
        ("memory-limit", "1Gi"),
        ("secret", "a.b-c"),
    ],
)
def test_what_can_be_had(name: str, value: str) -> None:
    assert getattr(changed(Settings(), {name: value}), name.replace("-", "_")) == value


def test_other_annotations_are_none_of_ours() -> None:
    others = {"prometheus.io/port": "1", "llm-sidecar/status": "{}", "llm-sidecar/skipped": "why"}
    assert with_annotations(Settings(), others) == Settings()
