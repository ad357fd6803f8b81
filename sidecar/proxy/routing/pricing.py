"""What calls cost, by the model that answered."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from sidecar.llm.prices import Price, cost, saved
from sidecar.llm.usage import Usage
from sidecar.policy.memo import Memo


class Pricing:
    """The first of *prices* whose glob fits a model's name counts."""

    def __init__(self, prices: Iterable[tuple[str, Price]]) -> None:
        self._prices = [(re.compile(fnmatch.translate(glob)), price) for glob, price in prices]
        self._remembered: Memo[str, Price | None] = Memo()

    def cost(self, model: str, usage: Usage) -> float | None:
        """What *usage* of *model* costs; None where no price is known."""
        price = self._price(model)
        return None if price is None else cost(price, usage)

    def saved(self, model: str, usage: Usage) -> float:
        """What the cached tokens of *usage* would have cost more; 0 where no price is known."""
        price = self._price(model)
        return 0.0 if price is None else saved(price, usage)

    def _price(self, model: str) -> Price | None:
        if not self._prices:
            return None
        if model in self._remembered:
            return self._remembered[model]
        fits = (price for glob, price in self._prices if glob.match(model))
        return self._remembered.keep(model, next(fits, None))
