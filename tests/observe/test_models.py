from __future__ import annotations

from collections import Counter

from sidecar.observe.models import MOST_MODELS, MOST_TEAMS, OTHER, Models


def test_a_model_gets_a_label_when_it_has_answered() -> None:
    models = Models()
    models.asked_for("gpt-x", answered=False).outcomes["failed"] += 1
    models.asked_for("gpt-x", answered=True).outcomes["ok"] += 1
    models.asked_for("gpt-x", answered=False).outcomes["failed"] += 1
    assert {name: +Counter(of.outcomes) for name, of in models.asked.items()} == {
        OTHER: {"failed": 1},
        "gpt-x": {"ok": 1, "failed": 1},
    }


def test_calls_without_a_model_have_a_label_of_their_own() -> None:
    models = Models()
    models.asked_for("", answered=False)
    assert [*models.asked] == [""]


def test_a_thousand_invented_names_make_no_thousand_series() -> None:
    models = Models()
    for number in range(1000):
        models.asked_for(f"junk-{number}", answered=False)
        models.asked_for(f"answers-{number}", answered=True)
        models.spent_by(f"answers-{number}", "")
    assert MOST_MODELS <= len(models.asked) <= MOST_MODELS + 1
    assert len(models.spent) == MOST_MODELS + 1
    assert models.asked_for("answers-0", answered=False) is models.asked["answers-0"]


def test_a_long_name_is_no_label() -> None:
    models = Models()
    models.asked_for("x" * 129, answered=True)
    models.spent_by("x" * 129, "y" * 129)
    assert ([*models.asked], [*models.spent]) == ([OTHER], [(OTHER, OTHER)])


def test_teams_are_bounded_and_so_are_pairs() -> None:
    models = Models()
    for model in range(200):
        for team in range(200):
            models.spent_by(f"m{model}", f"t{team}").input += 1
    assert len({team for _, team in models.spent}) == MOST_TEAMS + 1
    assert len(models.spent) <= 1001
    assert sum(each.input for each in models.spent.values()) == 200 * 200


def test_what_has_no_team_stays_without_one() -> None:
    models = Models()
    for model in range(30):
        for team in range(50):
            models.spent_by(f"m{model}", f"t{team}")
    models.spent_by("one-more", "")
    assert (OTHER, "") in models.spent
