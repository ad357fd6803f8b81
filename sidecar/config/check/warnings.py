"""Warns of what is valid but probably not meant, in `sidecar check` and the log."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.config.check.doubts.keys import of_keys
from sidecar.config.check.doubts.listeners import of_listeners
from sidecar.config.check.doubts.policies import of_policies
from sidecar.config.check.doubts.routes import of_routes
from sidecar.config.check.doubts.texts import of_texts
from sidecar.config.check.doubts.unused import of_unused
from sidecar.config.check.doubts.upstreams import of_upstreams
from sidecar.config.check.doubts.whole import Whole
from sidecar.config.problems import Problem

__all__ = ["Whole", "doubtful"]


def doubtful(whole: Whole) -> Iterator[Problem]:
    """Find everything of this kind. No message shows a value that may be a secret."""
    yield from of_texts(whole.written)
    yield from of_listeners(whole)
    yield from of_upstreams(whole)
    yield from of_keys(whole)
    yield from of_routes(whole)
    yield from of_policies(whole)
    yield from of_unused(whole)
