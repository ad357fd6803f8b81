"""Warns of what is valid but probably not meant, in `sidecar check` and the log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import UNSET

from sidecar.config.check.parts import select
from sidecar.config.model import Config, Route, Tracing, Upstream
from sidecar.config.model.route import Target
from sidecar.config.overlay import Effective, targets
from sidecar.config.problems import Path, Problem

_VARIABLE: Final = re.compile(r"(?<!\$)\$(?:[A-Za-z_]|\()")
"""A shell's `$NAME` or `$(NAME)`; references of ours begin with `${`."""
_REGULAR: Final = re.compile(r"\A\^|\$\Z|[\[\]()|\\]|\.\+")
"""What regular expressions have and names have not. `.*` may be meant: `gpt-4.*`."""
_GRPC: Final = 4317
"""OTLP's other port."""


class Whole(NamedTuple):
    """A configuration that is fit to serve."""

    config: Config
    effective: Mapping[tuple[int, str], Effective]
    written: Any
    """The tree before references were put in."""


def doubtful(whole: Whole) -> Iterator[Problem]:
    """Find everything of this kind."""
    config = whole.config
    for index, route in enumerate(config.routes):
        path = ("routes", index)
        yield from _without_keys(path, route, config.upstreams)
        yield from _literal(path, route)
        yield from _doubled(path, route, config.upstreams)
        yield from _never_due(path, index, whole)
    for name, upstream in config.upstreams.items():
        yield from _idle_tls(("upstreams", name), upstream)
    yield from _collector(config.tracing)
    yield from _not_a_reference(whole.written)
    yield from _unused(whole)


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
        yield Problem((*path, "match", "path"), wrong)
    globs: list[tuple[Path, str]] = [(("model",), route.match.model or "")]
    globs += [(("headers", name), glob) for name, glob in route.match.headers.items()]
    for key, glob in globs:
        if _REGULAR.search(glob):
            wrong = "is a glob, not a regular expression: only * and ? are special"
            yield Problem((*path, "match", *key), wrong)


def _doubled(path: Path, route: Route, upstreams: Mapping[str, Upstream]) -> Iterator[Problem]:
    """Find prefixes that are in the endpoint's URL and in the call's path: they are sent twice."""
    first = (route.match.path or "").strip("/").partition("/")[0]
    if not first or route.rewrite is not None:
        return
    for name in targets(route):
        for endpoint in upstreams[name].endpoints:
            url = endpoint.url or endpoint.dns or ""
            if urlsplit(url).path.rstrip("/").rpartition("/")[2] == first:
                yield Problem(
                    (*path, "match", "path"),
                    f"calls are sent to /{first}/{first}/...: an endpoint of {name} has /{first} "
                    "in its URL already. Remove it there, or give the route a `rewrite`",
                )
                return


def _never_due(path: Path, index: int, whole: Whole) -> Iterator[Problem]:
    for name in targets(whole.config.routes[index]):
        timeouts = whole.effective[index, name].policy.timeouts
        first_byte, total = timeouts.first_byte, timeouts.total
        if first_byte is not UNSET and total is not None and first_byte > total:
            yield Problem(path, f"`first_byte` has no effect at {name}: `total` is shorter")


def _idle_tls(path: Path, upstream: Upstream) -> Iterator[Problem]:
    urls = [endpoint.url or endpoint.dns or "" for endpoint in upstream.endpoints]
    tls = upstream.tls
    given = (tls.ca, tls.cert, tls.server_name) != (None, None, None)
    if given and not any(url.startswith("https:") for url in urls):
        yield Problem((*path, "tls"), "has no effect: no endpoint is https")


def _collector(tracing: Tracing) -> Iterator[Problem]:
    tls, url = tracing.tls, tracing.endpoint
    if url is None:
        if tracing != Tracing():
            yield Problem(("tracing",), "has no effect: there is no `endpoint`")
        return
    if urlsplit(url).port == _GRPC:
        wrong = "4317 is the port of OTLP over gRPC; over HTTP it is 4318"
        yield Problem(("tracing", "endpoint"), wrong)
    given = (tls.ca, tls.cert, tls.server_name) != (None, None, None)
    if given and not url.startswith("https:"):
        yield Problem(("tracing", "tls"), "has no effect: `endpoint` is not https")


def _not_a_reference(written: object) -> Iterator[Problem]:
    """Find `$NAME` in credentials, which only a shell would replace."""
    for steps in (
        "upstreams.*.credentials.value",
        "upstreams.*.credentials.*.value",
        "tracing.headers.*",
    ):
        for path, value in select(written, steps):
            if isinstance(value, str) and _VARIABLE.search(value):
                yield Problem(
                    path,
                    "`$` is an ordinary character here; write ${env:NAME} for an environment "
                    "variable",
                )


def _unused(whole: Whole) -> Iterator[Problem]:
    config = whole.config
    asked = {name for route in config.routes for name in targets(route)}
    for effective in whole.effective.values():
        redact = effective.policy.redact
        if redact is not None and redact.guard is not None:
            asked.add(redact.guard.upstream)
    for name in config.upstreams:
        if name not in asked:
            yield Problem(("upstreams", name), "no route uses this upstream")
    if any(listener.trust.headers for listener in config.listeners):
        return  # a call may ask for any policy
    named = [route.policy for route in config.routes]
    named += [each.policy for each in config.upstreams.values() if each.policy is not None]
    used = {"default", *(policy for policy in named if isinstance(policy, str))}
    for name in config.policies:
        if name not in used:
            yield Problem(("policies", name), "nothing uses this policy")
