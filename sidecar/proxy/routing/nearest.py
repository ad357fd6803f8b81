"""Tells a caller whom no route takes which one is nearest: most often a base URL is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sidecar.config.problems import closest

if TYPE_CHECKING:
    from sidecar.config.model import Match
    from sidecar.proxy.routing.router import Rule

_VERSION: Final = re.compile(r"v[0-9]\w*")
_MOST: Final = 5


def nearest(rules: Sequence[Rule], host: str, path: str, method: bytes) -> str:
    """Return what would have to be otherwise for a route to take the call, after a semicolon.

    Hosts, paths and methods of routes are told, which every caller may try out.
    """

    def taken(path: str) -> bool:
        return any(rule.candidate(host, path, method) for rule in rules)

    first, _, rest = path[1:].partition("/")
    if first and f"{rest}/".startswith(f"{first}/") and taken(f"/{rest}"):
        return f"; a route matches /{rest}: the path has /{first} twice"
    here = [rule.match for rule in rules if rule.matches(host, path, None)]
    if here:
        return f"; a route takes it with the method {_listed(each.method for each in here)}"
    elsewhere = [rule.match for rule in rules if rule.matches(None, path, method)]
    if elsewhere:
        return f"; a route takes it for the host {_listed(each.host for each in elsewhere)}"
    for prefix in () if _VERSION.fullmatch(first) else _versions(rules):
        if taken(prefix + path):
            return f"; a route matches {prefix}{path}: should the base URL end in {prefix}?"
    paths = _listed(rule.match.path for rule in rules if rule.matches(host, None, method))
    return f"; routes take paths that begin with {paths}" if paths else ""


def nearest_model(matches: Iterable[Match | None], model: str | None) -> str:
    """Return which models and headers the routes of a path take, after a semicolon."""
    known = [each for each in matches if each is not None]
    parts = []
    models = list(dict.fromkeys(each.model for each in known if each.model is not None))
    if models:
        close = closest(model or "", models)
        parts.append(f"the model {_listed(models)}" if close is None else f"the model {close}")
    names = _listed(name for each in known for name in each.headers)
    if names:
        parts.append(f"certain values of {names}")
    return f"; routes take {' or '.join(parts)}" if parts else ""


def _versions(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield `/v1`, and paths of routes that end in a version like it."""
    yield "/v1"
    for rule in rules:
        path = (rule.match.path or "").rstrip("/")
        if "{" not in path and _VERSION.fullmatch(path.rpartition("/")[2]):
            yield path


def _listed(texts: Iterable[str | None]) -> str:
    found = list(dict.fromkeys(text for text in texts if text is not None))
    return ", ".join(found[:_MOST]) + (", ..." if len(found) > _MOST else "")
