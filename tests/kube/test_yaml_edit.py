"""Manifests in all styles: what is put in, and that all else stays as it was written."""

from __future__ import annotations

import difflib
import json
import random
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from sidecar.kube import patch
from sidecar.kube.manifests import BadManifest, Change, rewrite
from sidecar.kube.settings import Settings
from sidecar.kube.yaml_edit import CanNot, edited
from sidecar.kube.yaml_text import read
from tests.kube.corpus import corpus

Tree = dict[str, Any]

STYLES = {
    "block": """\
# why
apiVersion: apps/v1
kind: Deployment # kept
metadata: {name:   web}
spec:
  template:
    metadata:
      labels:   # of pods
        app: "web"
      annotations:
        note: |
          several
          lines

        other: 'x'   # trailing
    spec:
      # before
      containers: # the list
      # the first of them
      - name: app   # first
        image: "app:1"
        env:
        - {name: A, value: "1"}
        - name: B
          value: >-
            folded
            text
        # a comment at the end of env

      - image: b
        name: other


      # after all
      volumes:
        - name: data
          emptyDir: {}   # last
# the end
""",
    "lists that stand deeper": """\
kind: Pod
metadata:
    name: p
spec:
    initContainers:
        # migrates
        -   name: migrate
            image: m
    containers:
        -   name: app
            image: a
            volumeMounts: []
            args: [
              "--x", # why
              '12:30']
    restartPolicy: Never""",
    "anchors": """\
kind: StatefulSet
metadata: {name: s}
x-common: &common
  image: i
  resources: {limits: {memory: 1Gi}}
spec:
  template:
    metadata: &metadata
      labels: &labels {app: s}
    spec:
      containers: &containers
      - name: one
        <<: *common
        env: &env
        - name: A
          value: &value b
      - <<: *common
        name: two
        env: *env
""",
    "labels that a selector shares": """\
kind: Deployment
spec: # of two things
  selector: {matchLabels: &labels {app: s}}
  template:
    metadata: {labels: *labels}
    spec:
      containers: [{name: a}]
""",
    "flow": """\
kind: CronJob
metadata: {name: c}
spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {
  spec: {
    containers: [{name: app, image: a}], # one
    restartPolicy: Never,
  }}}}}
""",
    "compact JSON": '{"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]}}',
    "pretty JSON": json.dumps(corpus()["volumes"], indent=4) + "\n",
    "JSON with tabs": json.dumps(corpus()["linkerd native"], indent="\t") + "\n",
    "a list": """\
apiVersion: v1
kind: List
items:
- {kind: Service, metadata: {name: "s"}}
- kind: Pod
  metadata: {name: p}
  spec:
    containers:
    - name: a
- kind: Job
  metadata: {name: j}
  spec:
    template:
      spec:
        restartPolicy: OnFailure
        containers:
          - name: j
""",
    "documents": """\
%YAML 1.1
---
# nothing
---
kind: Pod # a
metadata: {name: a}
spec:
  containers:
  - name: a
...
--- # b
kind: Pod
metadata: {name: b}
spec:
  containers:
  - {name: b}
---
kind: Service
metadata:   {name: s}
---
""",
    "a block at the end": """\
kind: Pod
spec:
  containers:
  - name: a
    command: [sh]
    args:
    - |
      one
      two

---
kind: Pod
spec:
  containers:
  - name: b
    args:
    - >-
      one
      two
""",
    "Windows, and a skipped one": """\
kind: DaemonSet
metadata: {name: d}
spec:
  template:
    spec:
      nodeSelector: {kubernetes.io/os: "windows"} # not ours
      containers: [{name: a}]
---
kind: Pod
metadata: {name: h}
spec:
  hostNetwork: true
  containers: [{name: a}]
""",
    "no end of line": "kind: Pod\nspec:\n  containers:\n  - name: a\n    image: 'x' # y",
    "null and quotes": """\
"kind": Pod
'metadata':
  "name": p
spec:
  containers:
  - "name": 'a'
    env:
      - name: X
        value: "\\u00e9 \\"q\\""
  volumes: # none
    - {name: v, emptyDir: {}}
""",
}
SETTINGS = [
    Settings(mode=mode, lifecycle=lifecycle, config_map="c", secret="s")
    for mode in ("base-url", "proxy", "capture")
    for lifecycle in ("native", "classic")
]
EVERY = pytest.mark.parametrize("text", STYLES.values(), ids=[*STYLES])
BOTH = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.mode}, {s.lifecycle}")


def injecting(settings: Settings) -> Change:
    def change(pod: Tree) -> tuple[Tree, list[str]]:
        try:
            made = patch.inject(pod, settings)
        except patch.Skipped as skipped:
            return pod, [f"skipped: {skipped}"]
        return made.pod, made.warnings

    return change


def uninjecting(pod: Tree) -> tuple[Tree, list[str]]:
    return patch.uninject(pod), []


def meaning(text: str, change: Change) -> list[Any]:
    """The documents of *text* with *change* made to the pods in them as trees."""
    trees = [
        read(each) for each in text.replace("\r\n", "\n").split("\n---") if "%YAML" not in each
    ]
    return [changed(tree, change) for tree in trees if tree is not None]


def changed(tree: Tree, change: Change) -> Tree:
    if tree["kind"] == "List":
        return tree | {"items": [changed(item, change) for item in tree["items"]]}
    if tree["kind"] == "Service":
        return tree
    if tree["kind"] == "Pod":
        return change(tree)[0]
    below = dict(tree["spec"])
    if tree["kind"] == "CronJob":
        inner = dict(below["jobTemplate"]["spec"])
        inner["template"] = change(inner["template"])[0]
        below["jobTemplate"] = below["jobTemplate"] | {"spec": inner}
    else:
        below["template"] = change(below["template"])[0]
    return tree | {"spec": below}


def only_added(before: str, after: str) -> bool:
    """Whether *before* is what remains of *after* when something is taken away."""
    rest = iter(after)
    return all(letter in rest for letter in before)


@BOTH
@EVERY
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_there_and_back_byte_for_byte(text: str, settings: Settings, newline: str) -> None:
    text = text.replace("\n", newline)
    change = injecting(settings)
    made, remarks = rewrite(text, change)
    assert not [remark for remark in remarks if "anew" in remark]
    assert meaning(made, lambda pod: (pod, [])) == meaning(text, change)
    assert only_added(text.replace("*labels", ""), made)
    assert made.count("\n") == made.count(newline)
    assert rewrite(made, change)[0] == made, "twice is once"
    back, remarks = rewrite(made, uninjecting)
    assert remarks == []
    assert back == text.replace("*labels", '{"app": "s"}')


@EVERY
def test_another_version_changes_only_what_it_must(text: str) -> None:
    one, other = (injecting(Settings(image=f"llm-sidecar:{tag}")) for tag in ("1", "2"))
    made = rewrite(text, one)[0]
    again = rewrite(made, other)[0]
    lines = difflib.ndiff(made.splitlines(), again.splitlines())
    assert {line[2:].strip() for line in lines if line[0] == "+"} <= {
        line.strip() for line in again.splitlines() if "llm-sidecar:2" in line
    }
    assert again.replace("llm-sidecar:2", "llm-sidecar:1") == made or '"llm-sidecar:2"' in again


def test_json_stays_json() -> None:
    for name in ("compact JSON", "pretty JSON", "JSON with tabs"):
        for settings in SETTINGS:
            made, _ = rewrite(STYLES[name], injecting(settings))
            assert json.loads(made) == read(made)


def test_lists_are_indented_as_those_that_are_there() -> None:
    made, _ = rewrite(STYLES["lists that stand deeper"], injecting(Settings(config_map="c")))
    assert "\n    volumes:\n      - name: llm-sidecar-config\n" in made
    made, _ = rewrite(STYLES["block"], injecting(Settings(config_map="c")))
    assert "\n        env:\n        - {name: A" in made
    assert "\n            drop:\n            - ALL\n" in made


def test_an_alias_that_would_change_with_its_anchor_is_written_out() -> None:
    """The mesh's container gets no variables, though it shares a list with one that does."""
    text = """\
kind: Pod
spec:
  containers:
  - {name: app, env: &env [{name: A, value: b}]}
  - {name: istio-proxy, env: *env}
"""
    made, remarks = rewrite(text, injecting(Settings()))
    assert remarks == []
    assert '- {name: istio-proxy, env: [{"name": "A", "value": "b"}]}\n' in made
    app, mesh = yaml.safe_load(made)["spec"]["containers"]
    assert len(app["env"]) == 4
    assert mesh["env"] == [{"name": "A", "value": "b"}]


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: |\n  x\n", "? a\n: 1\n", "[a: 1]"])
def test_what_is_not_understood_is_told_or_right(text: str) -> None:
    before = read(text)
    after = {"a": 3, "b": [4]}
    with suppress(CanNot, yaml.YAMLError):
        assert read(edited(text, before, after)) == after


NAMES = st.sampled_from(
    ["app", "web", "istio-proxy", "migrate", "a b", "é", "true", "1", "x: y", "#"]
)
TEXTS = st.one_of(
    NAMES, st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
)
VARIABLE = st.fixed_dictionaries({"name": NAMES}, optional={"value": TEXTS})
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": TEXTS,
        "env": st.lists(VARIABLE, min_size=1, max_size=3),
        "args": st.lists(TEXTS, max_size=3),
        "volumeMounts": st.lists(
            st.fixed_dictionaries({"name": NAMES, "mountPath": TEXTS}), min_size=1, max_size=2
        ),
        "tty": st.booleans(),
    },
)
LISTS = st.lists(CONTAINER, min_size=1, max_size=3, unique_by=lambda each: each["name"])
LABELS = st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3)
PODS = st.fixed_dictionaries(
    {
        "kind": st.just("Pod"),
        "spec": st.fixed_dictionaries(
            {"containers": LISTS},
            optional={
                "initContainers": LISTS,
                "volumes": st.lists(st.fixed_dictionaries({"name": NAMES}), min_size=1, max_size=2),
                "nodeSelector": LABELS,
            },
        ),
    },
    optional={
        "metadata": st.fixed_dictionaries(
            {"name": NAMES}, optional={"labels": LABELS, "annotations": LABELS}
        )
    },
)


def written(tree: Tree, how: random.Random) -> str:
    """*tree* in some style, with comments and blank lines where there may be some."""
    text = yaml.safe_dump(
        tree,
        default_flow_style=how.choice([True, False, False, None]),
        indent=how.choice([2, 4]),
        width=how.choice([20, 80, 1000]),
        allow_unicode=how.random() < 0.5,
        default_style=how.choice([None, None, '"', "'", "|"]),
        sort_keys=how.random() < 0.5,
    )
    lines = text.splitlines()
    made = []
    for line in lines:
        entry = line.lstrip().startswith("- ") or line.rstrip().endswith(":")
        if entry and how.random() < 0.2:
            made += ["", "# a comment"] if how.random() < 0.5 else [f"  # {how.random()}"]
        made.append(line)
    commented = "\n".join(made) + "\n"
    try:
        return commented if yaml.safe_load(commented) == tree else text
    except yaml.YAMLError:
        return text


@limits(max_examples=60)  # each is read and written eight times
@given(PODS, st.randoms(use_true_random=False), st.sampled_from(SETTINGS))
def test_any_pod_in_any_style(tree: Tree, how: random.Random, settings: Settings) -> None:
    text = written(tree, how)
    assume(read(text) == tree)
    change = injecting(settings)
    made, remarks = rewrite(text, change)
    assert read(made) == change(tree)[0]
    back, more = rewrite(made, uninjecting)
    assert read(back) == tree
    if not [remark for remark in remarks + more if "anew" in remark]:
        assert back == text
        assert only_added(text, made)


PIECES = [
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "*env",
    "&x ",
    "\n",
    "  ",
    "---\n",
    "null",
    "!!set ",
    '"',
    "# ",
    "1",
    "? ",
    "|",
    "<<: ",
]


@given(
    st.sampled_from([*STYLES.values()]),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 9), st.sampled_from(PIECES)), max_size=4
    ),
    st.sampled_from(SETTINGS),
)
def test_whatever_is_broken_ends_in_one_error(
    text: str, cuts: list[tuple[int, int, str]], settings: Settings
) -> None:
    for at, length, piece in cuts:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + length :]
    change = injecting(settings)
    with suppress(BadManifest):
        made, _ = rewrite(text, change)
        assert rewrite(made, uninjecting)
