"""What a configuration may say, but hardly means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sidecar.config.load import load
from sidecar.config.references import Kind

ROOT = Path(__file__).parents[2]
TWO = """listeners: [{address: "127.0.0.1:0"}]
upstreams:
  a: {endpoints: [{url: http://a}]}
  b: {endpoints: [{url: http://b}], credentials: %s}
routes:
  - upstream: a
    %s
"""


def told(text: str) -> list[str]:
    found = load(text, file="f.yaml", resolve=lambda kind, name: "text").warnings
    assert not any(warning.suggestion for warning in found)
    return [str(warning) for warning in found]


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("fallback: [{upstream: b}]", "fallback[0]"),
        ("fallback: [{upstream: a, model: x}, {upstream: b}]", "fallback[1]"),
        ("split: [{upstream: b, share: 5%}]", "split[0]"),
        ("mirror: {upstream: b}", "mirror"),
    ],
)
def test_another_upstream_without_keys(extra: str, key: str) -> None:
    (warning,) = told(TWO % ("null", extra))
    assert warning.startswith(f"f.yaml:7: routes[0].{key}.upstream: b gets no keys")
    for said in ("forward", "drop", "{header: x-api-key, value: x}"):
        assert told(TWO % (said, extra)) == []


def test_the_routes_own_upstream_is_not_another() -> None:
    assert told(TWO % ("null", "fallback: [{upstream: a, model: x}]")) == []
    assert told(TWO % ("null", "mirror: {upstream: a}")) == []


def shown() -> list[str]:
    """Every configuration in the documents, the chart's examples included."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        if re.search("^listeners:", block, re.MULTILINE) and "opnai" not in block
    ]
    charts = sorted((ROOT / "charts/llm-sidecar/examples").glob("*.yaml"))
    values = [each for path in charts for each in yaml.safe_load_all(path.read_text("utf-8"))]
    policies = [each["policy"] for each in values if each.get("policy")]
    texts = [each if isinstance(each, str) else yaml.safe_dump(each) for each in policies]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "docs/examples").glob("*.yaml")]
    return [*blocks, *texts, *files]


def of_system(kind: Kind, name: str) -> str:
    return "text"


@pytest.mark.parametrize("text", shown(), ids=range(len(shown())))
def test_no_example_needs_one(text: str) -> None:
    assert load(text, file="f.yaml", resolve=of_system).warnings == ()


def test_without_a_file_there_is_none() -> None:
    text = (ROOT / "sidecar/config/providers.yaml").read_text(encoding="utf-8")
    assert load(text, file="f.yaml", resolve=of_system).warnings == ()
