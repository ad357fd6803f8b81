"""The chart by Helm's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import yaml

Tree = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "llm-sidecar"
NAME, NAMESPACE = "llm-sidecar", "injectors"
FOREIGN = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "Certificate", "Issuer"}
"""Kinds of other people's operators: no schema of Kubernetes has them."""


def rendered(values: Tree, *, name: str = NAME) -> str:
    """All manifests, in the order of their files."""
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name=name, namespace=NAMESPACE)
    texts = [text.strip("\n") for file, text in sorted(files.items()) if file.endswith(".yaml")]
    return "\n---\n".join(text.removeprefix("---\n") for text in texts if text.strip("\n- "))


def manifests(values: Tree, *, name: str = NAME) -> list[Tree]:
    return [tree for tree in yaml.safe_load_all(rendered(values, name=name)) if tree]


def find(trees: list[Tree], kind: str, name: str) -> Tree:
    return next(t for t in trees if t["kind"] == kind and t["metadata"]["name"] == name)


def example(name: str) -> Tree:
    tree: Tree = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    return tree
