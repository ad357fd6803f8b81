"""What is counted for each model of a route, under a bounded number of names."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from sidecar.observe.histogram import Histogram

RATES: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 150.0, 200.0, 400.0, 1000.0)
"""Bucket bounds of tokens a second."""
OTHER: Final = "other"
"""The label of all models, and of all teams, beyond those that get a label of their own."""
MOST_MODELS: Final = 100
"""Names of models that are labels, for each route."""
MOST_TEAMS: Final = 50
"""Names of teams that are labels, for each route."""
_MOST_SPENT: Final = 1000
"""Pairs of a model and a team, for each route."""
_LONGEST: Final = 128
"""Characters of a label."""


class ModelStats:
    """Calls for one model, by the name that callers ask for."""

    __slots__ = ("first_token", "outcomes", "output_chunk", "output_rate")

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, int] = defaultdict(int)
        """Ended calls, by what became of them (`Outcome`)."""
        self.outcomes.update(ok=0, failed=0)
        self.first_token = Histogram()
        """Seconds to the first content of streams that came to their end."""
        self.output_chunk = Histogram()
        """Seconds a chunk after the first, of these: each stream's mean, once for each chunk."""
        self.output_rate = Histogram(RATES)
        """Output tokens a second of these, from their first content on."""


class Spent:
    """Tokens that one model made and read for one team, and their cost."""

    __slots__ = (
        "cache_write", "cached", "cost", "estimated_input", "estimated_output", "input", "output",
        "reasoning", "saved",
    )  # fmt: skip

    def __init__(self) -> None:
        self.input = self.cached = self.cache_write = self.output = self.reasoning = 0
        self.estimated_input = self.estimated_output = 0
        """Of replies that told none, and not among the others."""
        self.cost = self.saved = 0.0
        """In the currency of the prices; `saved` by the provider's prompt cache."""


class Models:
    """The models of one route.

    A caller that invents names makes no series: a name gets its own counts when a model of that
    name has answered, and only so many names do.
    """

    __slots__ = ("_answered", "_teams", "asked", "spent")

    def __init__(self) -> None:
        self.asked: dict[str, ModelStats] = {}
        """By the model that was asked for."""
        self.spent: dict[tuple[str, str], Spent] = {}
        """By the model that answered, and the team that asked; "" for none."""
        self._answered: set[str] = set()
        self._teams: set[str] = set()

    def asked_for(self, model: str, *, answered: bool) -> ModelStats:
        """Return the counts of *model*; those of `other` unless it has *answered* before or now."""
        found = self.asked.get(model)
        if found is not None:
            return found
        if model and not (answered and len(self.asked) < MOST_MODELS and len(model) <= _LONGEST):
            model = OTHER
        return self.asked.setdefault(model, ModelStats())

    def spent_by(self, model: str, team: str) -> Spent:
        """Return what *model*, which has answered, has cost *team*."""
        found = self.spent.get((model, team))
        if found is not None:
            return found
        if len(self.spent) < _MOST_SPENT:
            model = self.answered(model)
            team = team and _label(team, self._teams, MOST_TEAMS)
        else:
            model, team = OTHER, team and OTHER
        return self.spent.setdefault((model, team), Spent())

    def answered(self, model: str) -> str:
        """Return the label of *model*, which has answered."""
        return _label(model, self._answered, MOST_MODELS)


def _label(name: str, known: set[str], most: int) -> str:
    if name in known:
        return name
    if len(known) >= most or len(name) > _LONGEST:
        return OTHER
    known.add(name)
    return name
