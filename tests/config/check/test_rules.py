"""Mistakes in `rules`, wherever a policy stands."""

from __future__ import annotations

import pytest
import yaml

from sidecar.config.load import ConfigErrors, load

PLACES = {
    "policies.default": lambda tree, policy: tree["policies"].update(default=policy),
    "routes[0].policy": lambda tree, policy: tree["routes"][0].update(policy=policy),
    "upstreams.a.policy": lambda tree, policy: tree["upstreams"]["a"].update(policy=policy),
}
GOOD = "{name: ping, exact: [ping], answer: pong}"
SLOW = "could take too long: a repeat can share text with what repeats or follows it. Make it "
NOTHING = "matches nothing: give `exact`, `glob` or `regex`"
BRACE = "has a brace by itself: write {{ or }} for one"


def text(place: str, rules: str) -> str:
    tree = {
        "listeners": [{"address": "127.0.0.1:14001"}],
        "upstreams": {"a": {"endpoints": [{"url": "http://a"}]}},
        "routes": [{"upstream": "a"}],
        "policies": {},
    }
    PLACES[place](tree, {"rules": yaml.safe_load(rules)})
    return yaml.safe_dump(tree)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ("[{name: a, answer: b}]", f"[0]: {NOTHING}"),
        ("[{name: a, exact: [], answer: b}]", f"[0]: {NOTHING}"),
        ("[{name: a, exact: [a]}]", "[0]: expected exactly one of answer, refuse"),
        (
            "[{name: a, exact: [a], answer: b, refuse: {message: c}}]",
            "[0]: expected exactly one of answer, refuse",
        ),
        (f"[{GOOD}, {GOOD}]", "[1].name: the name of an earlier rule"),
        ("[{name: a b, exact: [a], answer: b}]", "[0].name: "),
        ("[{name: a, exact: [' '], answer: b}]", "[0].exact[0]: expected 1 to 2000 characters"),
        ("[{name: a, glob: [''], answer: b}]", "[0].glob[0]: expected 1 to 2000 characters"),
        ("[{name: a, regex: ['(a+)+b'], answer: b}]", f"[0].regex[0]: {SLOW}"),
        ("[{name: a, regex: ['('], answer: b}]", "[0].regex[0]: not a regular expression: "),
        ("[{name: a, regex: [x], answer: '{'}]", f"[0].answer: {BRACE}"),
        ("[{name: a, regex: [x], answer: '{n}'}]", "[0].answer: nothing captures {n}: every"),
        ("[{name: a, regex: [x], answer: '{1}'}]", "[0].answer: nothing captures {1}: every"),
        ("[{name: a, exact: [x], answer: '{0}'}]", "[0].answer: nothing captures {0}: every"),
        (
            "[{name: a, regex: ['(x)', 'y'], answer: '{1}'}]",
            "[0].answer: nothing captures {1}: every",
        ),
        ("[{name: a, exact: [a], refuse: {}}]", "[0].refuse.message: missing"),
        (
            "[{name: a, exact: [a], refuse: {message: b, status: 500}}]",
            "[0].refuse.status: unknown value; expected one of 400, 403, 404, 422, 451",
        ),
    ],
)
def test_a_mistake_is_told(place: str, rules: str, wrong: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(text(place, rules), file="")
    told = [f"{error.key}: {error.message}" for error in caught.value.errors]
    assert told[0].startswith(f"{place}.rules{wrong}"), told


@pytest.mark.parametrize("place", PLACES)
def test_good_rules_are_taken(place: str) -> None:
    rules = (
        rf"[{GOOD}, {{name: a, regex: ['(?P<n>x)\s', '(?P<n>y)'], answer: '{{n}} {{1}} {{0}}'}}]"
    )
    loaded = load(text(place, rules), file="")
    assert [rule.name for rule in loaded.effective[0, "a"].policy.rules] == ["ping", "a"]
