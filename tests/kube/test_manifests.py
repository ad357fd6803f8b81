"""Manifests as text: what changes and what stays as it was written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kube.manifests import BadManifest, rewrite

Tree = dict[str, Any]

POD = "{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: a}]}}"
TEMPLATES = {
    "Deployment": f"spec: {{template: {POD}}}",
    "StatefulSet": f"spec: {{template: {POD}}}",
    "DaemonSet": f"spec: {{template: {POD}}}",
    "ReplicaSet": f"spec: {{template: {POD}}}",
    "ReplicationController": f"spec: {{template: {POD}}}",
    "Job": f"spec: {{template: {POD}}}",
    "CronJob": f"spec: {{jobTemplate: {{spec: {{template: {POD}}}}}}}",
    "Pod": "spec: {containers: [{name: app, image: a}]}",
}
SERVICE = "# why\napiVersion: v1\nkind: Service # kept\nmetadata: {name:   s}\n"


def mark(pod: Tree) -> tuple[Tree, list[str]]:
    return pod | {"spec": pod["spec"] | {"marked": True}}, ["was marked"]


def keep(pod: Tree) -> tuple[Tree, list[str]]:
    return pod, []


def refuse(pod: Tree) -> tuple[Tree, list[str]]:
    return pod, ["skipped: so"]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_kind_has_its_pod_changed(kind: str) -> None:
    made, remarks = rewrite(f"kind: {kind}\nmetadata: {{name: n}}\n{TEMPLATES[kind]}\n", mark)
    assert remarks == [f"{kind} n: was marked"]
    assert made.startswith(f"# llm-sidecar: {kind} n: was marked\n")
    tree = yaml.safe_load(made)
    for key in {"CronJob": ["spec", "jobTemplate"], "Pod": []}.get(kind, []):
        tree = tree[key]
    template = tree if kind == "Pod" else tree["spec"]["template"]
    assert template["spec"]["marked"] is True


def test_lists() -> None:
    text = f"kind: List\nitems:\n- {{kind: Pod, metadata: {{name: a}}, {TEMPLATES['Pod']}}}\n"
    text += "- {kind: Service, metadata: {name: s}}\n"
    made, remarks = rewrite(text, mark)
    items = yaml.safe_load(made)["items"]
    assert items[0]["spec"]["marked"] is True
    assert items[1] == {"kind": "Service", "metadata": {"name": "s"}}
    assert remarks == ["Pod a: was marked"]


def test_what_has_no_pod_stays_as_it_was_written() -> None:
    text = f"{SERVICE}---\nkind: Pod\nmetadata: {{name: p}}\n{TEMPLATES['Pod']}\n--- \n{SERVICE}"
    made, _ = rewrite(text, mark)
    first, changed, last = made.split("---")
    assert (first, last) == (SERVICE, f" \n{SERVICE}")
    assert yaml.safe_load(changed)["spec"]["marked"] is True
    assert rewrite(text, keep)[0] == text


def test_who_is_refused_keeps_the_text_and_gets_a_comment_once() -> None:
    text = f"---\n# mine\nkind: Pod\nmetadata: {{name:  p}}\n{TEMPLATES['Pod']}\n"
    once, _ = rewrite(text, refuse)
    assert once == "---\n# llm-sidecar: Pod p: skipped: so\n" + text.removeprefix("---\n")
    assert rewrite(once, refuse)[0] == once


MISREAD = "[12:30, 2025-01-01, 0644, '010', 08, '1e3', 1.5, 0x10, no, 'no', -1, 1_0, ~, '0o17']"


def test_what_yaml_1_1_misreads_keeps_its_meaning() -> None:
    """Nothing in the text changes; what has to be written anew is quoted if Go's YAML needs it."""
    text = f"kind: Pod\nspec: {{containers: [{{name: a, args: {MISREAD}}}]}}\n"
    assert MISREAD in rewrite(text, mark)[0]
    twice = text.replace("kind: Pod\n", "kind: Pod\nkind: Pod\n").replace("{name", "{name: b, name")
    made, remarks = rewrite(twice, mark_all)
    assert remarks[-1] == "Pod without a name: had to be written anew, without its comments"
    read = yaml.safe_load(made)["spec"]["containers"][0]["args"]
    assert read[:6] == ["12:30", "2025-01-01", 0o644, "010", "08", "1e3"]
    assert read[6:] == [1.5, 16, False, "no", -1, 10, None, "0o17"]
    for quoted in ("'1e3'", "'0o17'", "'08'", "'12:30'"):
        assert f"- {quoted}\n" in made


def mark_all(pod: Tree) -> tuple[Tree, list[str]]:
    containers = [each | {"marked": True} for each in pod["spec"]["containers"]]
    return pod | {"spec": pod["spec"] | {"containers": containers}}, []


@pytest.mark.parametrize(
    "text", ["[1]", "text", "a: [", "kind: Deployment\nspec: {template: 1}", "a: 1\n---\n- 1"]
)
def test_what_is_no_manifest(text: str) -> None:
    with pytest.raises(BadManifest):
        rewrite(text, mark)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n---\n"])
def test_nothing_comes_back_as_it_was(text: str) -> None:
    assert rewrite(text, mark) == (text, [])


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "document 1, line 1: while parsing a flow"),
        ("a: 1\n---\n\nb: [}", "document 2, line 4: while parsing a flow"),
        ("---\na: 1\n---\n- 1", "document 2: expected a mapping with apiVersion and kind"),
        ("a: \x01", "document 1, after line 1: control characters are not allowed"),
        ("a: " + "[" * 200 + "]" * 200, "document 1, line 1: nested deeper than 100 levels"),
        (LAUGHS, "document 1, line 6: more than 1000000 values, aliases written out"),
        ("kind: Pod\nspec: &a {containers: [*a]}", "line 2: the alias *a stands for what"),
        (
            "kind: CronJob\nmetadata: {name: n}\nspec: {jobTemplate: [1]}",
            "document 1: CronJob n: spec.jobTemplate is not a mapping",
        ),
        (
            "kind: List\nitems: [{kind: Service}, {kind: Pod, spec: {containers: 1}}]",
            "items[1]: Pod without a name: spec.containers: expected a list, got a number",
        ),
        ("kind: PodList\nitems: [1]", "PodList: items[0] is not a mapping"),
        (
            "kind: Job\nmetadata: {name: n}\nspec: {template: {spec: {containers: [{env: [{}]}]}}}",
            "document 1: Job n: spec.template.spec.containers[0].env[0]: `name` is missing",
        ),
        (
            "kind: Pod\nmetadata: {name: n, labels: {a: b, version: 1}}",
            "Pod n: metadata.labels[version]: expected a text, got a number; put it in quotes",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadManifest) as raised:
        rewrite(text, mark)
    assert message in str(raised.value)


@pytest.mark.parametrize("lead", ["%YAML 1.1\n---\n", "# a\n%TAG ! x\n---\n"])
def test_directives_stay(lead: str) -> None:
    text = f"{lead}{SERVICE}"
    assert rewrite(text, mark)[0] == text


@given(st.text(max_size=200).filter(lambda text: "# llm-sidecar: " not in text))
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    try:
        made, _ = rewrite(text, keep)
    except BadManifest:
        return
    assert made == text
