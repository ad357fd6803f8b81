"""What calls cost, by the model that answered."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from sidecar.llm.prices import Price, cost
from sidecar.llm.usage import Usage

_REMEMBERED: Final = 1024


class Pricing:
    """The first of *prices* whose glob fits a model's name counts."""

    def __init__(self, prices: Iterable[tuple[str, Price]]) -> None:
        self._prices = [(re.compile(fnmatch.translate(glob)), price) for glob, price in prices]
        self._remembered: dict[str, Price | None] = {}

    def cost(self, model: str, usage: Usage) -> float | None:
        """What *usage* of *model* costs; None where no price is known."""
        if not self._prices:
            return None
        if model not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            fits = (price for glob, price in self._prices if glob.match(model))
            self._remembered[model] = next(fits, None)
        price = self._remembered[model]
        return None if price is None else cost(price, usage)
