"""Write the chart's README.md, values.schema.json and dashboards, and the table of settings in
docs/kubernetes.md, anew: `python -m charts.generate`.

They are made of what already says it: values.yaml with its comments, the sidecar's configuration
schema, the injector's settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from charts.boards import BOARDS
from charts.dashboards import dashboard
from sidecar.config.schema import schema as configuration_schema
from sidecar.kube.settings import Settings
from sidecar.observe.histogram import SECONDS

Tree = dict[str, Any]

CHART: Final = Path(__file__).parent / "llm-sidecar"
PAGE: Final = CHART.parents[1] / "docs" / "kubernetes.md"
_TABLE: Final = re.compile(
    r"(?<=\| setting \| default \| meaning \|\n\|---\|---\|---\|\n).*?(?=\n\n)", re.DOTALL
)
_MARK: Final = "# -- "
_CHOICES: Final[dict[str, list[Any]]] = {
    "image.pullPolicy": ["Always", "IfNotPresent", "Never"],
    "webhook.failurePolicy": ["Ignore", "Fail"],
    "webhook.policies.failurePolicy": ["Ignore", "Fail"],
    "webhook.podSecurityDefault": ["privileged", "baseline", "restricted"],
    "gateway.service.type": ["ClusterIP", "NodePort", "LoadBalancer"],
    "webhook.certificates.source": ["self", "cert-manager", "secret"],
    "alerts.firstToken.seconds": [*SECONDS],
}
_LISTS_OF: Final[dict[str, Tree]] = {
    "image.pullSecrets": {"type": "string"},
    "namespaces": {"type": "string"},
    "webhook.excludedNamespaces": {"type": "string"},
    "networkPolicy.apiServerPorts": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_NAMED: Final[Tree] = {"type": "object", "required": ["name"]}
_LISTS_ANYWHERE: Final[dict[str, Tree]] = {
    "extraEnv": _NAMED,
    "extraVolumes": _NAMED,
    "extraVolumeMounts": {"type": "object", "required": ["name", "mountPath"]},
    "topologySpreadConstraints": {"type": "object", "required": ["topologyKey"]},
}
"""By the last part of their path: these are Kubernetes' own, which refuses the rest."""
_NAMES: Final[Tree] = {"type": "string", "pattern": "^([a-z]([a-z0-9-]{0,38}[a-z0-9])?)?$"}
"""The part of a Service's name (RFC 1035) that leaves room for our endings; empty: ours."""
_EXACTLY: Final[dict[str, Tree]] = {"nameOverride": _NAMES, "fullnameOverride": _NAMES}
_TEXTS: Final = frozenset(
    {
        "commonLabels",
        "credentials",
        "monitoring.labels",
        "dashboard.labels",
        "alerts.labels",
        "webhook.certificates.issuerRef",
    }
)
_TEXTS_ANYWHERE: Final = ("Labels", "Annotations", ".annotations", ".nodeSelector")
"""Mappings from any name to a text, by path or by its end; other empty mappings are as Kubernetes
has them."""
_CONFIGURATIONS: Final = frozenset({"policy", "gateway.policy"})
_LEAST: Final = {"injector.replicas": 1, "webhook.timeoutSeconds": 1, "gateway.replicas": 1}
_MOST: Final = {"webhook.timeoutSeconds": 30}
"""An API server's own bounds (admissionregistration.k8s.io/v1)."""
_OBJECTIVE: Final[Tree] = {"type": "number", "minimum": 95, "exclusiveMaximum": 100}
"""Percent. Below 93, not even an outage would spend the budget 14.4 times as fast as allowed."""
_ABOUT: Final = """\
# llm-sidecar

<!-- Written by `python -m charts.generate`; change values.yaml or that instead. -->

{description}.

[Kubernetes](../../docs/kubernetes.md) explains how to install the chart, what it does, and how to
troubleshoot it. The [examples](examples/) are complete values files with matching applications.

```sh
helm install llm-sidecar charts/llm-sidecar -n llm-sidecar --create-namespace
```

Kubernetes {kubernetes}, Helm 3 or 4.

## Values

| value | default | meaning |
|---|---|---|
"""


def values_schema() -> Tree:
    """A JSON schema (draft 7, which every Helm 3 and 4 knows) for values.yaml."""
    configuration = _in_draft_7(configuration_schema())
    settings = _in_draft_7(msgspec.json.schema(Settings))
    definitions = {**configuration.pop("definitions"), **settings["definitions"]}
    definitions["Settings"]["additionalProperties"] = False
    top = configuration.pop("$ref").rsplit("/", 1)[1]
    definitions["Configuration"] = {"anyOf": [_EMPTY, {"$ref": f"#/definitions/{top}"}]}
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart llm-sidecar",
        **_schema_of(values, "", {path: meaning for path, _, meaning in _described()}),
        "definitions": definitions,
    }


_EMPTY: Final[Tree] = {"type": "object", "maxProperties": 0}
_GLOBAL: Final[Tree] = {"type": "object"}
"""Helm itself puts `global` into the values of a chart that is another's dependency."""


def _in_draft_7(schema: Any) -> Any:
    """`$defs` had another name then; nothing else that we use has changed since."""
    if isinstance(schema, list):
        return [_in_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {"definitions" if k == "$defs" else k: _in_draft_7(v) for k, v in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("#/$defs/", "#/definitions/")
    return made


def _schema_of(value: Any, path: str, about: Mapping[str, str]) -> Tree:
    made = _shape_of(value, path, about)
    # Draft 7 ignores all that stands beside a `$ref`.
    return {"description": about[path], **made} if path in about and "$ref" not in made else made


def _shape_of(value: Any, path: str, about: Mapping[str, str]) -> Tree:
    if path in _CONFIGURATIONS:
        return {"$ref": "#/definitions/Configuration"}
    if path == "injection":
        return {"$ref": "#/definitions/Settings"}
    if isinstance(value, dict) and value and not path.endswith((".resources", ".labels")):
        inner = {
            key: _schema_of(each, f"{path}.{key}".lstrip("."), about) for key, each in value.items()
        }
        if not path:
            inner["global"] = _GLOBAL
        return {"type": "object", "properties": inner, "additionalProperties": False}
    if isinstance(value, dict):
        all_texts = path in _TEXTS or path.endswith(_TEXTS_ANYWHERE)
        texts = {"additionalProperties": {"type": "string"}} if all_texts else {}
        return {"type": "object", **texts}
    if isinstance(value, list):
        usual = _LISTS_ANYWHERE.get(path.rsplit(".", 1)[-1], {"type": "object"})
        return {"type": "array", "items": _LISTS_OF.get(path, usual)}
    return _scalar(value, path)


def _scalar(value: Any, path: str) -> Tree:
    if path in _EXACTLY:
        return _EXACTLY[path]
    if path in _CHOICES:
        return {"enum": _CHOICES[path]}
    if path.endswith(".objective"):
        return _OBJECTIVE
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        made: Tree = {"type": "integer", "minimum": _LEAST.get(path, 0)}
        return made | ({"maximum": _MOST[path]} if path in _MOST else {})
    return {"type": "string"}


def readme() -> str:
    """The chart's page: every value with its default and its meaning."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    about = _ABOUT.format(
        description=chart["description"], kubernetes=_oldest(chart["kubeVersion"])
    )
    return about + "".join(f"{row}\n" for row in _rows())


def _oldest(version: str) -> str:
    return version.removeprefix(">=").removesuffix(".0-0") + " or later"


def _rows() -> Iterator[str]:
    for path, default, meaning in _described():
        yield f"| `{path}` | `{json.dumps(default)}` | {meaning} |".replace('`""`', "")


def _described() -> Iterator[tuple[str, Any, str]]:
    """Path, default and meaning of every value that is described by itself."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    for path, line, default in _leaves(yaml.compose(text), ""):
        meaning = _comment_above(lines, line)
        if not meaning:
            raise ValueError(f"values.yaml: {path} has no comment that begins with {_MARK!r}")
        yield path, default, meaning


def _leaves(node: Any, path: str) -> Iterator[tuple[str, int, Any]]:
    """Path, line and default of every value that is described by itself."""
    for key, value in node.value:
        name = f"{path}.{key.value}".lstrip(".")
        described = isinstance(value, yaml.MappingNode) and value.value and not value.flow_style
        if described and not name.endswith(".resources"):
            yield from _leaves(value, name)
        else:
            yield name, key.start_mark.line, yaml.safe_load(yaml.serialize(value))


def _comment_above(lines: list[str], line: int) -> str:
    found: list[str] = []
    for text in map(str.strip, reversed(lines[:line])):
        if not text.startswith("#"):
            return ""
        found.insert(0, text.removeprefix(_MARK).removeprefix("# "))
        if text.startswith(_MARK):
            return " ".join(found)
    return ""


def with_settings(page: str) -> str:
    """docs/kubernetes.md with every setting in its table."""
    rows = "\n".join(_setting_rows())
    return _TABLE.sub(lambda _: rows, page, count=1)


def _setting_rows() -> Iterator[str]:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]
    for name, setting in schema["properties"].items():
        default = setting["default"]
        shown = f"`{default}`" if default != "" else ""
        choices = [choice for choice in setting.get("enum", ()) if choice]
        said = setting["description"]
        if choices and not any(f"`{choice}`" in said for choice in choices):
            said += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
        yield f"| `{name}` | {shown} | {said} |"


def dashboards() -> dict[Path, str]:
    """The dashboards, by file."""
    folder = CHART / "files" / "dashboards"
    return {
        folder / f"{board.name}.json": json.dumps(dashboard(board), indent=1) + "\n"
        for board in BOARDS
    }


def main() -> None:
    """Write all of it."""
    PAGE.write_text(with_settings(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    schema = json.dumps(values_schema(), indent=1) + "\n"
    (CHART / "values.schema.json").write_text(schema, encoding="utf-8")
    (CHART / "README.md").write_text(readme(), encoding="utf-8")
    for file, text in dashboards().items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
