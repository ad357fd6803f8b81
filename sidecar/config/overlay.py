"""Which policy holds for a route at an upstream: trees laid over each other, key by key.

From the least to the most specific: `policies.default`, the upstream's policy, the route's policy;
what none of them gives is the model's default. Mappings are merged, all else is replaced, `null`
too. An upstream's `balance` stands between `policies.default` and the upstream's policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Final, NamedTuple

from msgspec import Struct

from sidecar.config.model.policy import Policy
from sidecar.config.model.route import Route
from sidecar.config.problems import Path
from sidecar.config.read.decode import convert

Tree = Mapping[str, Any]

DEFAULT: Final = "default"
_BREAKING: Final = frozenset({"breaker", "ejection"})


class Effective(Struct, frozen=True):
    """The policy of a route at an upstream."""

    policy: Policy
    """`balance`: None where the upstream's own holds."""
    breaker_scope: str
    """The most specific layer that gave `breaker` or `ejection`: `default`, `policy:NAME`,
    `upstream:NAME` or `route:NAME`."""


class Layer(NamedTuple):
    """A policy as it is written, and where."""

    scope: str
    path: Path
    tree: Tree


class Overlay:
    """All policies of a configuration, to be laid over each other. Each pile is worked out once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        """*root*: a configuration with references put in; the parts asked for must be fit."""
        self._upstreams: Mapping[str, Tree] = root.get("upstreams", {})
        self._policies: Mapping[str, Tree] = root.get("policies", {})
        self._known: dict[tuple[Path, ...], Effective] = {}

    def of_route(self, index: int, route: Route, tree: Tree, upstream: str) -> list[Layer]:
        """Return the layers for calls of *route*, written as *tree*, to *upstream*."""
        name = route.name or f"{index}-{route.upstream}"
        own = self._given(tree.get("policy"), f"route:{name}", ("routes", index, "policy"))
        return [*self._below(upstream), *own]

    def of_policy(self, name: str) -> list[Layer]:
        """Return the layers of a named policy by itself."""
        return [*self._named(DEFAULT), *self._given(name, "", ())]

    def named(self, upstream: str, name: str) -> Effective | None:
        """Return the policy at *upstream* for calls that ask for *name* instead of their route's.

        None: there is no such policy.
        """
        if name != DEFAULT and name not in self._policies:
            return None
        return self.effective([*self._below(upstream), *self._given(name, "", ())])

    def alone(self, upstream: str) -> Effective:
        """Return the policy at *upstream* for what no route sends there."""
        return self.effective(self._below(upstream))

    def effective(self, layers: list[Layer]) -> Effective:
        """Merge *layers*, the last one being the most specific."""
        key = tuple(layer.path for layer in layers)
        if key not in self._known:
            policy = convert(_pile(layers), Policy)
            self._known[key] = Effective(policy, _breaker_scope(layers))
        return self._known[key]

    def _below(self, upstream: str) -> list[Layer]:
        """Return the policy at *upstream* unless a route says otherwise."""
        tree, path = self._upstreams[upstream], ("upstreams", upstream)
        layers = self._named(DEFAULT)
        if "balance" in tree:
            layers.append(Layer("", path, {"balance": tree["balance"]}))
        return layers + self._given(tree.get("policy"), f"upstream:{upstream}", (*path, "policy"))

    def _given(self, policy: str | Tree | None, scope: str, path: Path) -> list[Layer]:
        """Return the layer of a policy's name, or of the policy written at *path*."""
        if isinstance(policy, Mapping):
            return [Layer(scope, path, policy)]
        return self._named(policy) if policy is not None and policy != DEFAULT else []

    def _named(self, name: str) -> list[Layer]:
        scope = DEFAULT if name == DEFAULT else f"policy:{name}"
        tree = self._policies.get(name)
        return [] if tree is None else [Layer(scope, ("policies", name), tree)]


def targets(route: Route) -> list[str]:
    """List the upstreams that *route* may send to."""
    others = (*route.split, *route.fallback, *((route.mirror,) if route.mirror else ()))
    return list(dict.fromkeys([route.upstream, *(other.upstream for other in others)]))


def effective(
    overlay: Overlay, routes: Mapping[int, Route], trees: Mapping[int, Tree]
) -> dict[tuple[int, str], Effective]:
    """Work out the policy of every route, by index, at every upstream that it may send to."""
    return {
        (index, name): overlay.effective(overlay.of_route(index, route, trees[index], name))
        for index, route in routes.items()
        for name in targets(route)
    }


def _pile(layers: list[Layer]) -> Any:
    """Merge the layers into one tree, without `balance` if the upstream's own is in force."""
    nothing: Any = {}
    merged = reduce(_over, (layer.tree for layer in layers), nothing)
    balanced = [layer for layer in layers if "balance" in layer.tree]
    if balanced and not balanced[-1].scope:
        merged = {key: value for key, value in merged.items() if key != "balance"}
    return merged


def _over(below: Any, above: Any) -> Any:
    """Lay *above* over *below*."""
    if not isinstance(above, Mapping):
        return above
    if isinstance(below, str):  # a method's name stands for a mapping
        below = {"method": below}
    if not isinstance(below, Mapping):
        return above
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


def _breaker_scope(layers: list[Layer]) -> str:
    given = (layer.scope for layer in reversed(layers) if layer.tree.keys() & _BREAKING)
    return next(given, DEFAULT)
