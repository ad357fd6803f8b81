"""Which route takes a call.

The first matching route of the configuration wins. Host, path and method are matched first (the
result is remembered), then headers and the model for the few routes that are left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import BadPath, ModelUnknown, NotRouted
from sidecar.http.paths import as_read, has_dot_segment, plain
from sidecar.http.target import host_name
from sidecar.policy.memo import Memo
from sidecar.proxy.routing.pricing import Pricing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.config.model import Match
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.layers.layer import Layer
    from sidecar.upstream.endpoints.upstream import Upstream

LONGEST_SHOWN: Final = 256
"""Characters of a model's name in logs and errors: callers may send megabytes."""
_SEGMENT: Final = r"(?P<\1>[A-Za-z0-9-]{1,63})"


NO_PRICES: Final = Pricing(())


class Route(NamedTuple):
    """A route as it serves, compiled from the configuration."""

    name: str
    upstream: Upstream
    timers: Timers
    hold: int
    stack: Layer
    stats: RouteStats
    priority: int = 1
    """0 high, 1 normal, 2 low."""
    renames: bool = False
    """Whether some upstream of it gets another model than the caller's."""
    renames_first: bool = False
    """Even one that may be asked first."""
    pricing: Pricing = NO_PRICES
    heeds_sdk: bool = False
    """Whether the read timeout of a caller's SDK bounds its calls."""
    layers: tuple[str, ...] = ()
    """Names of the layers in `stack`, outermost first."""
    under: Callable[[str], Route | None] = lambda _: None
    """Returns the same route under the named policy; None if there is no such policy."""

    def __repr__(self) -> str:
        return f"<Route {self.name} to {self.upstream.name}>"


class Candidate(NamedTuple):
    """A route that matches a host, path and method; headers and model are checked later."""

    route: Route
    headers: tuple[tuple[bytes, re.Pattern[str]], ...]
    model: re.Pattern[str] | None
    captured: Mapping[str, str]
    path: bytes | None
    """The rewritten path; None if the route does not rewrite."""
    depends: bool
    """Whether its match or an alias depends on the model."""
    match: Match | None = None
    """None: whatever the call is like."""


class Rule:
    """A route with its match, compiled."""

    def __init__(self, match: Match, rewrite: str | None, route: Route) -> None:
        self.route = route
        self.match = match
        self._method = match.method.encode() if match.method else None
        self._host = _host_pattern(match.host) if match.host else None
        self._path = _path_pattern(match.path) if match.path else None
        self._path_read = _path_pattern(as_read(match.path)) if match.path else None
        self._rewrite = None if rewrite is None else rewrite.rstrip("/").encode()
        self._headers = tuple(
            (name.lower().encode(), _glob(glob)) for name, glob in match.headers.items()
        )
        self._model = _glob(match.model) if match.model else None
        self.unconditional = not self._headers and self._model is None
        """Whether it matches on host, path and method only."""

    def candidate(self, host: str, path: str, method: bytes) -> Candidate | None:
        """Return the candidate for these; None if the route does not match."""
        if self._method is not None and method != self._method:
            return None
        captured: dict[str, str] = {}
        end = 0
        if self._host is not None:
            found = self._host.fullmatch(host)
            if found is None:
                return None
            captured |= found.groupdict()
        if self._path is not None:
            found = self._path.match(path)
            if found is None:
                return None
            captured |= found.groupdict()
            end = found.end()
        sent = None
        if self._rewrite is not None:
            sent = self._rewrite + path[end:].encode("latin-1") or b"/"
        depends = self._model is not None or self.route.renames
        return Candidate(
            self.route, self._headers, self._model, captured, sent, depends, self.match
        )

    def matches(self, host: str | None, path: str | None, method: bytes | None) -> bool:
        """Whether it matches what is not None of these."""
        return (
            (method is None or self._method in (None, method))
            and (host is None or self._host is None or self._host.fullmatch(host) is not None)
            and (path is None or self._path is None or self._path.match(path) is not None)
        )

    def takes_as_read(self, host: str, path: str, method: bytes) -> bool:
        """Whether it matches *path*, which is the most lenient reading of a call's path."""
        return (
            self._method in (None, method)
            and (self._host is None or self._host.fullmatch(host) is not None)
            and (self._path_read is None or self._path_read.match(path) is not None)
        )


class Router:
    """The routes of one configuration, in order."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self._remembered: Memo[tuple[bytes, bytes, bytes], tuple[Candidate, ...]] = Memo()

    def candidates(self, host: bytes, path: bytes, method: bytes) -> tuple[Candidate, ...]:
        """Return the routes that may match a call, in order.

        Raise NotRouted if there is none, BadPath if servers read the path differently.
        """
        key = (host, path, method)
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered.keep(key, self._match(host, path, method))
        if not found:
            from sidecar.proxy.routing.nearest import nearest

            name, text = host_name(host).decode("latin-1"), path.decode("latin-1")
            raise NotRouted(
                f"no route matches {method.decode('latin-1')} {text}"
                f" for host {host.decode('latin-1') or '(none)'}"
                f"{nearest(self.rules, name, text, method)}"
            )
        return found

    def _match(self, host: bytes, path: bytes, method: bytes) -> tuple[Candidate, ...]:
        name, text = host_name(host).decode("latin-1"), path.decode("latin-1")
        tried = [rule.candidate(name, text, method) for rule in self.rules]
        if not plain(text):
            self._check(name, text, method, [candidate is not None for candidate in tried])
        return tuple(candidate for candidate in tried if candidate is not None)

    def _check(self, host: str, path: str, method: bytes, written: list[bool]) -> None:
        """Raise BadPath if a server may read *path* so that another route would match.

        *written*: which routes match it as written. If all readings lead to the same routes, the
        path passes: `/v1/models/org%2Fmodel` is a name.
        """
        read = as_read(path)
        if has_dot_segment(read):
            raise BadPath("the path has a . or .. segment, plain or encoded")
        others = [rule.takes_as_read(host, read, method) for rule in self.rules]
        if any(written) and self._decisive(written) != self._decisive(others):
            raise BadPath("the path has empty segments or encodings that make its route ambiguous")

    def _decisive(self, taken: list[bool]) -> list[int]:
        """Return the indices of matching routes, up to the first unconditional one."""
        found = []
        for index, rule in enumerate(self.rules):
            if taken[index]:
                found.append(index)
                if rule.unconditional:
                    break
        return found


def choose(
    candidates: tuple[Candidate, ...],
    fields: Mapping[bytes, bytes],
    model: str | None,
    unknown: ModelUnknown | None = None,
) -> Candidate:
    """Return the first of *candidates* whose headers and model match. Raise NotRouted if none does.

    Raise *unknown*, which says why the model is unknown, at the first candidate that depends on
    the model: an unknown model is not a mismatch.
    """
    for candidate in candidates:
        if candidate.headers and not _headers_fit(candidate.headers, fields):
            continue
        if candidate.model is not None:
            if unknown is not None:
                raise unknown
            if model is None or not candidate.model.match(model):
                continue
        return candidate
    named = f"the model {model[:LONGEST_SHOWN]}" if model is not None else "no model"
    from sidecar.proxy.routing.nearest import nearest_model

    hint = nearest_model((candidate.match for candidate in candidates), model)
    raise NotRouted(f"no route matches these headers and {named}{hint}")


def _headers_fit(
    wanted: tuple[tuple[bytes, re.Pattern[str]], ...], fields: Mapping[bytes, bytes]
) -> bool:
    for name, pattern in wanted:
        value = fields.get(name)
        if value is None or not pattern.match(value.decode("latin-1")):
            return False
    return True


def _glob(glob: str) -> re.Pattern[str]:
    """Compile a glob with `*` and `?`; brackets are literal."""
    return re.compile(translate(glob.replace("[", "[[]")))


def _host_pattern(host: str) -> re.Pattern[str]:
    """Compile a pattern for `host_name`, without brackets around an IPv6 address."""
    escaped = re.escape(host.lower().strip("[]")).replace(r"\*", r"[^/]+")
    return re.compile(re.sub(r"\\\{(\w+)\\\}", _SEGMENT, escaped))


def _path_pattern(path: str) -> re.Pattern[str]:
    """Compile a prefix on `/` boundaries; `/v1/` also matches `/v1`."""
    escaped = re.sub(r"\\\{(\w+)\\\}", _SEGMENT, re.escape(path.rstrip("/")))
    return re.compile(escaped + r"(?=/|$)")
