"""What a cache may do with a stored reply (RFC 9111, RFC 5861). Times are seconds."""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

State = Literal["fresh", "stale", "spare", "dead"]
"""Of a stored reply: it answers; it answers while it is fetched anew; it answers only if the
upstream fails; it does not answer."""
NEGATIVE: Final = frozenset({400, 404, 405, 410, 413, 414, 422})
"""Statuses of errors that the same call meets again."""
FAILED: Final = frozenset({429, 500, 502, 503, 504, 529})
"""Statuses in whose place a stale reply does (RFC 5861, section 4; 529 is Anthropic's overload)."""


class CacheSettings(NamedTuple):
    """How long replies are kept."""

    ttl: float
    jitter: float = 0.0
    """Share by which the life of a reply is shortened at random, at most."""
    while_revalidate: float = 0.0
    """For so long after its life, a reply answers while it is fetched anew."""
    if_error: float = 0.0
    """For so long after its life, a reply answers if the upstream fails."""
    negative: float = 0.0
    """Life of an error that the same call meets again; 0: none is kept."""
    most: int = 2**20
    """Bytes of a reply that is kept."""
    obeys: bool = True
    """Whether the upstream's Cache-Control counts."""

    def life(self, status: int, said: float, point: float) -> float:
        """Return for how long a reply is fresh. *said*: by the upstream. *point*: in [0, 1).

        Replies that came together do not go together: shorter lives spread the calls that follow.
        """
        life = min(self.negative if status in NEGATIVE else self.ttl, said)
        return life * (1.0 - self.jitter * point)

    def kept(self, status: int) -> float:
        """Return for how long after its life a reply is of use."""
        return 0.0 if status in NEGATIVE else max(self.while_revalidate, self.if_error)


class Asked(NamedTuple):
    """The `Cache-Control` of a request (RFC 9111, section 5.2.1)."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: float = inf
    min_fresh: float = 0.0


def asked(value: bytes | None) -> Asked:
    """Read it. `max-stale` has no effect: the route says how stale a reply may be."""
    if value is None:
        return _NOTHING
    found = _directives(value)
    return Asked(
        b"no-store" in found,
        b"no-cache" in found,
        b"only-if-cached" in found,
        _seconds(found.get(b"max-age"), inf),
        _seconds(found.get(b"min-fresh"), 0.0),
    )


_NOTHING: Final = Asked()


def allowed(value: bytes | None, *, shared: bool, stream: bool) -> float:
    """Return for how many seconds a reply's `Cache-Control` lets it be fresh; 0: not at all.

    *shared*: other callers may get it. *stream*: of events, on which `no-cache` is a custom against
    buffering, and says nothing.
    """
    if value is None:
        return inf
    found = _directives(value)
    if b"no-store" in found or (shared and b"private" in found):
        return 0.0
    if b"no-cache" in found and not stream:
        return 0.0
    if shared and b"s-maxage" in found:
        return _seconds(found[b"s-maxage"], 0.0)
    if b"max-age" in found and not (stream and b"no-cache" in found):
        return _seconds(found[b"max-age"], 0.0)
    return inf


def state(age: float, life: float, settings: CacheSettings, wants: Asked, status: int) -> State:
    """Tell what a reply may do that is *age* old and lives for *life*."""
    age = max(0.0, age)
    if age + wants.min_fresh < life and age <= wants.max_age and not wants.no_cache:
        return "fresh"
    if status in NEGATIVE:
        return "dead"
    strict = wants.no_cache or wants.min_fresh > 0.0 or age > wants.max_age
    if age < life + settings.while_revalidate and not strict:
        return "stale"
    return "spare" if age < life + settings.if_error and not wants.no_cache else "dead"


def _directives(value: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for directive in value.lower().split(b","):
        name, _, argument = directive.strip().partition(b"=")
        found[name.strip()] = argument.strip().strip(b'"')
    return found


def _seconds(text: bytes | None, otherwise: float) -> float:
    """A value that can't be read is stale (RFC 9111, section 4.2.1)."""
    if text is None:
        return otherwise
    return float(text) if text.isdigit() and len(text) < 12 else 0.0
