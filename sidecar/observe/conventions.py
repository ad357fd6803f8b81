"""Counts under the names of the conventions for generative AI, where they are wanted.

They have buckets of their own, so they are counted beside our own metrics, not made of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from sidecar.llm.usage import Usage
from sidecar.observe.histogram import Histogram
from sidecar.observe.models import OTHER
from sidecar.observe.semconv import SECONDS, TOKENS, VERSIONS, Version

_MOST: Final = 1000
"""Sets of attributes. Others have neither models nor a server."""


class Attributes(NamedTuple):
    """What one series is about, in the order of the labels."""

    operation: str
    """As the conventions name it."""
    provider: str
    request_model: str
    response_model: str
    address: str
    port: str

    @property
    def embeds(self) -> bool:
        """Whether it is no inference: the later conventions have other names for that."""
        return self.operation == "embeddings"


def _seconds() -> Histogram:
    return Histogram(SECONDS)


class Operations:
    """Operations with the same attributes."""

    __slots__ = ("chunk", "durations", "first_chunk", "tokens", "usage")

    def __init__(self) -> None:
        self.durations: defaultdict[str, Histogram] = defaultdict(_seconds)
        """By `error.type`; empty for what succeeded."""
        self.first_chunk = Histogram(SECONDS)
        """Only of streams."""
        self.chunk = Histogram(SECONDS)
        """Each stream's mean, once for each chunk after the first: chunks are not timed singly."""
        self.tokens: Mapping[str, Histogram] = {
            "input": Histogram(TOKENS),
            "output": Histogram(TOKENS),
        }
        self.usage: dict[str, int] = dict.fromkeys(
            ("input", "output", "cached", "cache_write", "reasoning"), 0
        )
        """By our kinds of tokens."""

    def spend(self, usage: Usage) -> None:
        """Count the tokens of one operation."""
        self.tokens["input"].observe(usage.input)
        self.tokens["output"].observe(usage.output)
        counts = self.usage
        for kind in counts:
            counts[kind] += getattr(usage, kind)


class Conventions:
    """Everything that is counted under the names of one version of the conventions."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.names = VERSIONS[version]
        self.series: dict[Attributes, Operations] = {}

    def of(self, attributes: Attributes) -> Operations:
        """Return the counts under *attributes*, whose models must be labels of bounded number."""
        found = self.series.get(attributes)
        if found is not None:
            return found
        if len(self.series) >= _MOST:
            attributes = attributes._replace(
                request_model=OTHER, response_model=OTHER, address="", port=""
            )
        return self.series.setdefault(attributes, Operations())
