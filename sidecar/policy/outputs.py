"""How long the answers of a model are, learnt from recent ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sidecar.policy.quantile import Quantile

_MODELS: Final = 256
_SHARE: Final = 0.9
_FIRST: Final = 512
"""Tokens of an answer while nothing is known of its model."""


class Outputs:
    """Estimates the output of calls that name no bound, for the 256 models asked for last."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, Quantile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._models)

    def learn(self, model: str, tokens: int) -> None:
        """An answer of *model* had so many tokens."""
        recent = self._models.get(model)
        if recent is None:
            recent = self._models[model] = Quantile()
            if len(self._models) > _MODELS:
                self._models.popitem(last=False)
        else:
            self._models.move_to_end(model)
        recent.observe(tokens)

    def expected(self, model: str) -> int:
        """Return the tokens that nine of ten recent answers did not exceed."""
        recent = self._models.get(model)
        value = None if recent is None else recent.value(_SHARE, 1)
        return _FIRST if value is None else int(value)
