"""Makes a configuration of the file of LiteLLM's proxy.

Each name in `model_list` is a route. Its deployments are endpoints, keys, or shares of a split,
with the others to fall back to. What has no counterpart is told, never left out in silence.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sidecar.importing.deployments import Deployment, Deployments
from sidecar.importing.policies import Yaml, balance, left_out, policy, upstream_policy
from sidecar.importing.values import is_name, literal, mapping, printable, shown


class NotLiteLLM(ValueError):
    """The file is no configuration of LiteLLM. The message says why."""


class Imported(NamedTuple):
    """A configuration, and what its user must know."""

    config: Yaml
    notes: list[str]


def imported(read: object) -> Imported:
    """Return the configuration for what LiteLLM's file says. Raise NotLiteLLM."""
    if not isinstance(read, dict) or not isinstance(read.get("model_list"), list):
        raise NotLiteLLM(
            "it has no list `model_list`, so it is no configuration of LiteLLM's proxy"
        )
    return _Importer(read).run()


class _Importer:
    def __init__(self, read: Mapping[str, Any]) -> None:
        self._read = read
        self._upstreams: dict[str, Yaml] = {}
        self._known: dict[str, str] = {}
        """Names of upstreams, by what they are."""
        self._numbers: Counter[str] = Counter()
        """Of upstreams, by what their names begin with."""
        self._names: set[str] = set()
        self._listed = Deployments()
        self._notes = self._listed.notes

    def run(self) -> Imported:
        groups = self._listed.groups(self._read["model_list"])
        if not groups:
            told = printable("\n".join(self._notes))
            raise NotLiteLLM(f"no entry of `model_list` can be used:\n{told}")
        router = mapping(self._read, "router_settings")
        everything = mapping(self._read, "litellm_settings")
        routes = {name: self._route(name, group) for name, group in groups.items()}
        self._fall_back(routes, [*_list(router, "fallbacks"), *_list(everything, "fallbacks")])
        self._alias(routes, router)
        self._refuse_what_has_no_fallback(routes.values())
        config: Yaml = {
            "listeners": [{"mode": "reverse", "address": "127.0.0.1:4000"}],
            "upstreams": self._upstreams,
            "routes": sorted(routes.values(), key=_place),
        }
        if made := policy(router, everything, self._notes):
            config["policies"] = {"default": made}
        if self._listed.prices:
            config["prices"] = self._listed.prices
        balance(router, self._upstreams.values(), self._notes)
        if "*" not in groups:
            self._notes.append("GET /v1/models has no route: LiteLLM answers it with its own list")
        self._notes += left_out(self._read)
        return Imported(config, list(dict.fromkeys(map(printable, self._notes))))

    def _route(self, name: str, group: Sequence[Deployment]) -> Yaml:
        sides = sorted(self._sides(group), key=lambda side: -side.weight)
        total = sum(side.weight for side in sides)
        first = sides[0]
        match = {"path": "/v1/"} if name == "*" else {"path": "/v1/", "model": literal(name)}
        route: Yaml = {
            "name": self._named(name),
            "match": match,
            "rewrite": "/",
            **self._target(name, first),
        }
        if len(sides) > 1:
            route["split"] = [
                {**self._target(name, side), "share": _share(side.weight / total)}
                for side in sides[1:]
            ]
            route["fallback"] = [self._target(name, side) for side in sides]
        return route

    def _named(self, name: str) -> str:
        """A name for a route: it labels metrics."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:56].strip("-._") or "route"
        name, number = "everything" if name == "*" else stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name)
        return name

    def _target(self, name: str, side: _Side) -> Yaml:
        target: Yaml = {"upstream": side.upstream}
        if "*" in name:
            if side.model != "*":
                self._notes.append(
                    f"{name}: calls are passed on with the model that they name; LiteLLM takes "
                    "the provider's name away from it"
                )
        else:
            target["model"] = literal(side.model)
        return target

    def _sides(self, group: Sequence[Deployment]) -> Iterator[_Side]:
        """Deployments that differ in address or key alone are one upstream."""
        by_model: dict[tuple[str, str, bool], list[Deployment]] = {}
        for each in group:
            by_model.setdefault((each.model, each.header, bool(each.key)), []).append(each)
        for same in by_model.values():
            left = same
            while left:
                first = left[0]
                fits = [one for one in left if one.key == first.key]
                if len(fits) == 1:
                    fits = [one for one in left if one.url == first.url]
                taken = set(map(id, fits))
                left = [one for one in left if id(one) not in taken]
                weight = sum(one.weight for one in fits)
                yield _Side(self._upstream(fits), first.model, weight)

    def _upstream(self, same: Sequence[Deployment]) -> str:
        urls = list(dict.fromkeys(each.url for each in same))
        keys = list(dict.fromkeys(each.key for each in same))
        made: Yaml = {
            "dialect": "openai",
            "endpoints": _weighed([{"url": url} for url in urls], "url", same),
        }
        first = same[0]
        if len(keys) > 1:
            made["credentials"] = _weighed(
                [
                    {"name": f"key-{number}", "header": first.header, "value": key}
                    for number, key in enumerate(keys, 1)
                ],
                "key",
                same,
            )
        elif first.key:
            made["credentials"] = {"header": first.header, "value": first.key}
        else:
            made["credentials"] = "drop"
        if shared := upstream_policy(same):
            made["policy"] = shared
        if (known := self._known.get(repr(made))) is not None:
            return known
        stem = re.sub(r"[^a-z0-9]+", "-", first.provider)
        self._numbers[stem] += 1
        number = self._numbers[stem]
        name = stem if number == 1 else f"{stem}-{number}"
        self._upstreams[name] = made
        self._known[repr(made)] = name
        return name

    def _fall_back(self, routes: Mapping[str, Yaml], told: Sequence[object]) -> None:
        targets = {name: _target_of(route) for name, route in routes.items()}
        for each in told:
            for name, others in each.items() if isinstance(each, dict) else ():
                if name not in routes:
                    self._notes.append(f"the fallbacks of {name} are left out: it has no route")
                    continue
                for other in others if isinstance(others, list) else [others]:
                    if not isinstance(other, str) or other not in targets:
                        self._notes.append(f"{name}: its fallback {shown(other)} has no route")
                        continue
                    target = targets[other]
                    target = target if "model" in target else {**target, "model": literal(other)}
                    route = routes[name]
                    if target not in route.setdefault("fallback", []):
                        route["fallback"].append(target)

    def _refuse_what_has_no_fallback(self, routes: Iterable[Yaml]) -> None:
        """Leave out `when_exceeded: fallback` of upstreams whose calls have none."""
        falling = {
            target["upstream"]
            for route in routes
            if "fallback" in route
            for target in (route, *route.get("split", ()))
        }
        for name, upstream in self._upstreams.items():
            limits = upstream.get("policy", {}).get("limits")
            if limits and name not in falling:
                del limits["tokens"]["when_exceeded"]

    def _alias(self, routes: dict[str, Yaml], router: Mapping[str, Any]) -> None:
        for alias, told in mapping(router, "model_group_alias").items():
            name = told.get("model") if isinstance(told, dict) else told
            if not isinstance(name, str) or name not in routes or not is_name(alias):
                self._notes.append(f"the alias {alias} is left out: {shown(name)} has no route")
                continue
            match = {"path": "/v1/", "model": literal(alias)}
            routes[alias] = {**routes[name], "name": self._named(alias), "match": match}


class _Side(NamedTuple):
    upstream: str
    model: str
    weight: int


def _target_of(route: Yaml) -> Yaml:
    return {key: route[key] for key in ("upstream", "model") if key in route}


def _weighed(each: list[Yaml], by: Literal["url", "key"], same: Sequence[Deployment]) -> list[Yaml]:
    """Give endpoints or keys their weights: 1 to 1000, where LiteLLM's may be numbers of tokens."""
    sums = [0] * len(each)
    for one in same:
        value = one.url if by == "url" else one.key
        sums[next(i for i, made in enumerate(each) if value in made.values())] += one.weight
    divisor = math.gcd(*sums)
    weights = [weight // divisor for weight in sums]
    if max(weights) > 1000:
        weights = [max(1, round(weight / max(weights) * 1000)) for weight in weights]
    if max(weights) > 1:
        for made, weight in zip(each, weights, strict=True):
            made["weight"] = weight
    return each


def _place(route: Yaml) -> tuple[int, int]:
    """Where *route* stands: the first that matches wins, so a glob stands behind what it takes."""
    model: str = route["match"].get("model", "*")
    stars = model.count("*")
    return stars - len(model) if stars else -sys.maxsize, stars


def _share(part: float) -> str:
    return f"{max(round(part * 100, 2), 0.01):g}%"


def _list(of: Mapping[str, Any], key: str) -> list[Any]:
    told = of.get(key) or []
    return told if isinstance(told, list) else []
