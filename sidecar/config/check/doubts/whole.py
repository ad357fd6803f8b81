"""What doubts are looked for in, and where a setting of a policy is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from sidecar.config.model import Config
from sidecar.config.overlay import DEFAULT, Effective
from sidecar.config.problems import Path


class Whole(NamedTuple):
    """A configuration that is fit to serve."""

    config: Config
    effective: Mapping[tuple[int, str], Effective]
    written: Any
    """The tree before references were put in."""


def shares(whole: Whole) -> bool:
    """Whether anything uses the store that sidecars share."""
    parts = [each.policy for each in whole.effective.values()]
    return any(map(_asks_for_redis, [*parts, whole.config.budgets]))


def _asks_for_redis(part: object) -> bool:
    if isinstance(part, dict):
        return any(map(_asks_for_redis, part.values()))
    if not isinstance(part, Struct):
        return False
    return getattr(part, "redis", False) is True or any(
        _asks_for_redis(getattr(part, name)) for name in part.__struct_fields__
    )


def origin(whole: Whole, index: int, upstream: str, *keys: str) -> Path | None:
    """Return where a setting of the policy of a route at an upstream is written; None: nowhere."""
    for path, tree in _layers(whole.written, index, upstream):
        if inner(tree, *keys) is not None:
            return (*path, *keys)
    return None


def inner(tree: object, *keys: str) -> object:
    """Return what *keys* lead to in *tree*; None if there is nothing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _layers(written: Any, index: int, upstream: str) -> Iterator[tuple[Path, object]]:
    """Yield the policies of a route at an upstream as they are written, the route's first."""
    named = written.get("policies") or {}
    for path in (("routes", index), ("upstreams", upstream)):
        section: Any = written[path[0]][path[1]]
        said = section.get("policy")
        if isinstance(said, dict):
            yield (*path, "policy"), said
        elif isinstance(said, str) and said in named:
            yield ("policies", said), named[said]
    if DEFAULT in named:
        yield ("policies", DEFAULT), named[DEFAULT]
