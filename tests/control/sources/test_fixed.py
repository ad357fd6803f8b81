"""A configuration that never changes."""

from __future__ import annotations

from sidecar import __version__
from sidecar.config.defaults import default_text
from sidecar.control.sources.base import Source
from sidecar.control.sources.fixed import FixedSource


def test_it_is_the_built_in_one_or_a_text() -> None:
    built_in: Source = FixedSource()
    assert built_in.read() == (default_text(), __version__)
    assert FixedSource("a: 1").read().text == "a: 1"
    assert built_in.stats.name == "(built in)"
