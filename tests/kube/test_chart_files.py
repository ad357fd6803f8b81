"""The chart's files against the code that they speak of; `make test-kube` renders them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.boards import BOARDS, Board
from charts.dashboards import dashboard
from charts.generate import CHART, PAGE, dashboards, readme, values_schema, with_settings
from sidecar import __version__
from sidecar.config.load import load
from sidecar.config.read.references import Kind
from sidecar.kube.certificate_source import CertificateFiles
from sidecar.kube.patch import inject
from sidecar.kube.settings import Settings, changed
from sidecar.kube.webhook import Webhook
from tests.kube.corpus import corpus
from tests.test_docs import blocks, exported, rows

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
OF_MONITORS = {"namespace", "le"}
"""Labels that no exporter writes: a scrape's target, a histogram's bounds."""


def test_what_is_written_is_what_would_be_written() -> None:
    """If not: `make docs`."""
    assert PAGE.read_text() == with_settings(PAGE.read_text())
    assert (CHART / "README.md").read_text() == readme()
    assert json.loads((CHART / "values.schema.json").read_text()) == json.loads(
        json.dumps(values_schema())
    )
    for file, text in dashboards().items():
        assert file.read_text() == text
    assert {*dashboards()} == {*(CHART / "files" / "dashboards").iterdir()}


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def of_pod(kind: Kind, name: str) -> str:
    return "text"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_policies_of_the_examples_are_good(file: Path) -> None:
    values = next(yaml.safe_load_all(file.read_text()))
    for policy in (values.get("policy"), values.get("gateway", {}).get("policy")):
        if policy:
            load(json.dumps(policy), file=str(file), resolve=of_pod)
    changed(Settings(), values.get("injection", {}))
    assert values.get("policy") or values["kind"]


def metrics() -> dict[str, frozenset[str]]:
    """Labels by metric, as the sidecar and the injector export them."""
    known = {name: labels for name, (_, labels) in exported()}
    webhook = Webhook(Settings(), CertificateFiles(Path()))
    webhook._reviews.labels("injected").inc()
    for family in webhook._registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        known[name] = frozenset().union(*(sample.labels for sample in family.samples))
    return known


def board_expressions() -> Iterator[str]:
    for text in dashboards().values():
        board = json.loads(text)
        yield from (variable["query"] for variable in board["templating"]["list"])
        for panel in panels(board):
            yield from (target["expr"] for target in panel["targets"])


def panels(board: Any) -> list[Any]:
    """Those in rows that are folded too."""
    inside = [each for panel in board["panels"] for each in panel.get("panels", ())]
    return [panel for panel in (*board["panels"], *inside) if panel["type"] != "row"]


def rule_expressions() -> Iterator[str]:
    """As the template has them: Helm fills in only windows and thresholds."""
    text = (CHART / "templates" / "alerts.yaml").read_text()
    for found in re.findall(r"expr: (?:\|\n((?: {12}.*\n)+)|(.*)\n)", text):
        yield "".join(found)


@pytest.mark.parametrize(("expressions", "least"), [(board_expressions, 35), (rule_expressions, 6)])
def test_dashboards_and_alerts_ask_for_metrics_that_exist(
    expressions: Callable[[], Iterator[str]], least: int
) -> None:
    known = metrics()
    seen = set()
    for text in expressions():
        for name in re.findall(r"\bsidecar_\w+", text):
            metric = re.sub(r"_(bucket|count|sum)$", "", name)
            assert metric in known, text
            seen.add(metric)
            for label in labels_in(text):
                assert label in known[metric] | OF_MONITORS, (label, text)
    assert len(seen) >= least


def labels_in(expression: str) -> set[str]:
    by = re.findall(r"\bby \(([^)]*)\)", expression)
    named = re.findall(r"(\w+)(?:=~|!=|=)\"", expression) + re.findall(r", (\w+)\)$", expression)
    return {label.strip() for group in by for label in group.split(",")} | set(named)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_do_not_lie_over_each_other(board: Board) -> None:
    made = dashboard(board)
    for group in (made["panels"], *(panel.get("panels", ()) for panel in made["panels"])):
        taken: set[tuple[int, int]] = set()
        for panel in group:
            place = panel["gridPos"]
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert not taken & cells
            assert place["x"] + place["w"] <= 24
            taken |= cells
    rows = [panel for panel in made["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in (*rows, *panels(made))]
    assert len({*numbers}) == len(numbers)


def test_the_page_shows_what_is_injected() -> None:
    settings = changed(Settings(), {"config-map": "llm-sidecar-policy"})
    made = inject(corpus()["plain"], settings).pod
    shown = yaml.safe_load(next(b for b in blocks(PAGE, "yaml") if "initContainers" in b))
    spec, app = shown["spec"], shown["spec"]["containers"][0]
    assert spec["initContainers"] == made["spec"]["initContainers"]
    assert spec["volumes"] == made["spec"]["volumes"]
    assert app["env"] == made["spec"]["containers"][0]["env"]
    assert shown["metadata"]["labels"] == made["metadata"]["labels"]
    assert [*shown["metadata"]["annotations"]] == [*made["metadata"]["annotations"]]


def test_the_page_names_the_injectors_metrics() -> None:
    named = {row[0].strip("`") for row in rows("docs/kubernetes.md", "Metrics")}
    assert named == {name for name in metrics() if name.startswith("sidecar_injector_")}
