"""Doubts about routes: matches that never fit, paths that are sent twice, keys that stay home."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from sidecar.config.check.doubts.whole import Whole
from sidecar.config.model import Config, Route, Upstream
from sidecar.config.model.route import Target
from sidecar.config.overlay import targets
from sidecar.config.problems import Path, Problem

_REGULAR: Final = re.compile(r"\A\^|\$\Z|[\[\]()|\\]|\.\+|(?<![0-9])\.\*")
"""What regular expressions have and names have not. In `gpt-4.*` the dot is one."""
_VERSION: Final = re.compile(r"v[0-9][a-z0-9]*")
_PREFIXES: Final = {
    "openai": ".api.openai.com", "azure": ".openai.azure.com", "anthropic": ".api.anthropic.com",
    "gemini": ".googleapis.com", "mistral": ".api.mistral.ai", "deepseek": ".api.deepseek.com",
    "groq": ".api.groq.com", "cohere": ".api.cohere.com", "xai": ".api.x.ai",
}  # fmt: skip
"""What LiteLLM puts before a model's name, and where the provider is."""
_NO_REGEX: Final = "is a glob, not a regular expression: only * and ? are special, as in glm-*"


def of_routes(whole: Whole) -> Iterator[Problem]:
    """Find what is doubtful about each route by itself, and with its upstreams."""
    config = whole.config
    for index, route in enumerate(config.routes):
        path = ("routes", index)
        yield from _without_keys(path, route, config.upstreams)
        yield from _literal(path, route)
        yield from _doubled(path, route, config.upstreams)
        yield from _prefixed(path, route, config.upstreams)
        yield from _to_itself(path, route)
        if route.labels_missing == "any" and not route.labels:
            yield Problem((*path, "labels_missing"), "has no effect: the route has no `labels`")
    yield from _regular_globs(config)


def _without_keys(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Find other upstreams that get calls without the caller's keys, and have none of their own."""
    groups: tuple[tuple[str, tuple[Target, ...]], ...]
    groups = ("split", route.split), ("fallback", route.fallback)
    others = [((*path, key, n), each) for key, group in groups for n, each in enumerate(group)]
    if route.mirror is not None:
        others.append(((*path, "mirror"), route.mirror))
    for where, other in others:
        if other.upstream != route.upstream and upstreams[other.upstream].credentials is None:
            yield Problem(
                (*where, "upstream"),
                f"{other.upstream} gets no keys: those of callers are meant for {route.upstream}, "
                "and it has no credentials of its own. Give it some, or say `credentials: "
                "forward` there, or `drop` if it needs none",
            )


def _literal(path: Path, route: Route) -> Iterator[Problem]:
    """Find characters that are literal where they look like wildcards."""
    if route.match.path is not None and "*" in route.match.path:
        wrong = "`*` is not special here; a path matches every path that begins with it"
        yield Problem((*path, "match", "path"), f"{wrong}: leave the `*` out")
    globs: list[tuple[Path, str]] = [(("model",), route.match.model or "")]
    globs += [(("headers", name), glob) for name, glob in route.match.headers.items()]
    for key, glob in globs:
        if _REGULAR.search(glob):
            yield Problem((*path, "match", *key), _NO_REGEX)


def _regular_globs(config: Config) -> Iterator[Problem]:
    for glob in config.prices:
        if _REGULAR.search(glob):
            yield Problem(("prices", glob), _NO_REGEX)
    for name, limit in config.budgets.limits.items():
        if limit.model is not None and _REGULAR.search(limit.model):
            yield Problem(("budgets", "limits", name, "model"), _NO_REGEX)
    for index, listener in enumerate(config.listeners):
        certificates = listener.access.certificates if listener.access else None
        for number, glob in enumerate(certificates.allow if certificates else ()):
            if _REGULAR.search(glob):
                path = "listeners", index, "access", "certificates", "allow", number
                yield Problem(path, _NO_REGEX)


def _doubled(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Find prefixes that are in the endpoint's URL and in what is sent after it."""
    key: Path = ("match", "path")
    prefix = route.match.path or ""
    if route.rewrite is not None:
        key, prefix = ("rewrite",), route.rewrite
    first = prefix.strip("/").partition("/")[0]
    if not first:
        return
    for name in targets(route):
        for url in upstreams[name].urls:
            last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
            if last == first or (_VERSION.fullmatch(last) and _VERSION.fullmatch(first)):
                mended = "or drop it here" if route.rewrite else "or give the route a `rewrite`"
                yield Problem(
                    (*path, *key),
                    f"calls are sent to /{last}/{first}/...: an endpoint of {name} has /{last} "
                    f"in its URL already. Remove it there, {mended}",
                )
                return


def _prefixed(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Find models with the provider in their name, as LiteLLM has them, at that provider itself."""
    named: list[tuple[Path, str | None, str]] = [(path, route.model, route.upstream)]
    for key, group in (("split", route.split), ("fallback", route.fallback)):
        named += [((*path, key, n), each.model, each.upstream) for n, each in enumerate(group)]
    if route.mirror is not None:
        named.append(((*path, "mirror"), route.mirror.model, route.mirror.upstream))
    for where, model, upstream in named:
        prefix, slash, _ = (model or "").partition("/")
        hosts = [urlsplit(url).hostname or "" for url in upstreams[upstream].urls]
        if slash and any(f".{host}".endswith(_PREFIXES.get(prefix, " ")) for host in hosts):
            told = f"the provider does not know it by that name: leave {prefix}/ out"
            yield Problem((*where, "model"), told)


def _to_itself(path: Path, route: Route) -> Iterator[Problem]:
    """Find a first fallback that is where the split has sent the call."""
    if not route.fallback:
        return
    first = route.fallback[0]
    if any((side.upstream, side.model) == (first.upstream, first.model) for side in route.split):
        yield Problem(
            (*path, "fallback", 0),
            f"calls that the split sent to {first.upstream} fall back to it again. List "
            f"{route.upstream} before it",
        )
