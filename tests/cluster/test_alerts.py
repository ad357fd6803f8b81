"""The chart's alerts, by Prometheus' own tool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from chart import NAME, find, manifests, rendered

Tree = dict[str, Any]

NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)
HERE = Path(__file__).parent


def rules(values: Tree) -> Tree:
    rule = find(manifests({"alerts": {"enabled": True, **values}}), "PrometheusRule", NAME)
    spec: Tree = rule["spec"]
    return spec


def promtool(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@NEEDS_PROMTOOL
@pytest.mark.parametrize("name", ["alerts.yaml", "alerts-slow.yaml"])
def test_what_each_alert_does(name: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules({})))
    (tmp_path / name).write_text((HERE / name).read_text())
    assert "SUCCESS" in promtool(tmp_path, "test", "rules", name)


def test_every_alert_is_tried() -> None:
    named = {
        rule["alert"] for group in rules({})["groups"] for rule in group["rules"] if "alert" in rule
    }
    assert len(named) == 8
    text = (HERE / "alerts.yaml").read_text()
    assert [alert for alert in named if alert not in text] == []


@NEEDS_PROMTOOL
@pytest.mark.parametrize(("seconds", "objective"), [(0.0025, 95), (1, 99.9), (600, 99.99)])
def test_other_values_make_good_rules(seconds: float, objective: float, tmp_path: Path) -> None:
    values = {
        "success": {"objective": objective},
        "firstToken": {"objective": objective, "seconds": seconds},
    }
    text = yaml.safe_dump(rules(values))
    (tmp_path / "rules.yaml").write_text(text)
    promtool(tmp_path, "check", "rules", "rules.yaml")
    assert f'le="{float(seconds)}"' in text


@pytest.mark.parametrize(
    "values",
    [
        {"firstToken": {"seconds": 3}},  # no bound of the histogram
        {"success": {"objective": 90}},
        {"success": {"objective": 100}},
        {"minCalls": -1},
        {"labels": {"a": 1}},
    ],
)
def test_what_makes_no_sense_is_refused(values: Tree) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered({"alerts": {"enabled": True, **values}})


def test_there_are_none_unless_they_are_asked_for() -> None:
    kinds = {tree["kind"] for tree in manifests({})}
    assert not kinds & {"PrometheusRule"}
