"""Calls that need not be made: which are the same, and what they share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Secret, Section
from sidecar.config.model.units import Duration, Share, Size
from sidecar.llm.cache_key import KeySettings
from sidecar.policy.cache import CacheSettings


class CacheKey(Section, frozen=True):
    """Which calls count as the same, for `cache` and `single_flight`.

    They have the same route, path, body (as a value), model, caller and version headers of the API.
    """

    when: Annotated[
        Literal["deterministic", "always"],
        Meta(
            description="Which calls may be like others: those whose answer repeats, that is with "
            "`temperature` 0 or a `seed`, and embeddings (`deterministic`); or all that ask a "
            "model (`always`)."
        ),
    ] = "deterministic"
    shared: Annotated[
        bool,
        Meta(
            description="Calls of different callers may be the same. Callers are told apart by "
            "their keys, and without any by their address."
        ),
    ] = False
    headers: Annotated[
        tuple[str, ...],
        Meta(max_length=32, description="More headers whose values must be the same."),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        Meta(
            max_length=32,
            description="More members of the body that don't matter. `user`, `metadata` and others "
            "that change no answer never do.",
        ),
    ] = ()

    def settings(self) -> KeySettings:
        """Make what calls are compared by."""
        headers = tuple(name.lower().encode() for name in self.headers)
        always = self.when == "always"
        return KeySettings(always, self.shared, headers, frozenset(self.ignore))


class Cache(Section, frozen=True):
    """Replies are kept and given again to the same calls.

    Only complete replies with status 200 are, which takes `read: true`.
    """

    ttl: Annotated[Duration, Meta(description="For so long a reply is fresh.")] = Duration("5m")
    jitter: Annotated[
        Share,
        Meta(
            description="Each life is shortened at random by up to this share, so that replies "
            "that came together do not go together."
        ),
    ] = Share("10%")
    stale_while_revalidate: Annotated[
        Duration,
        Meta(description="For so long after its life, a reply is given while it is fetched anew."),
    ] = Duration("0s")
    stale_if_error: Annotated[
        Duration,
        Meta(
            description="For so long after its life, a reply is given where the upstream fails: "
            "no reply, or 429, 500, 502, 503, 504 or 529."
        ),
    ] = Duration("0s")
    negative_ttl: Annotated[
        Duration,
        Meta(
            description="For so long an error is kept that the same call would meet again (400, "
            "404, 405, 410, 413, 414, 422). `0s`: none is."
        ),
    ] = Duration("5s")
    max_reply: Annotated[Size, Meta(description="Larger replies are not kept.")] = Size("1MiB")
    replay: Annotated[
        Literal["at_once", "recorded"],
        Meta(description="A kept stream comes at once, or at the pace at which it came."),
    ] = "at_once"
    redis: Annotated[
        bool, Meta(description="Replies are kept in `store.redis` too, if there is one.")
    ] = True
    obey_upstream: Annotated[
        bool,
        Meta(
            description="`no-store`, `private`, `no-cache` and `max-age` in the upstream's "
            "`cache-control` count; `no-cache` on streams does not."
        ),
    ] = True

    def settings(self) -> CacheSettings:
        """Make what replies are kept by."""
        return CacheSettings(
            ttl=float(self.ttl),
            jitter=float(self.jitter),
            while_revalidate=float(self.stale_while_revalidate),
            if_error=float(self.stale_if_error),
            negative=float(self.negative_ttl),
            most=int(self.max_reply),
            obeys=self.obey_upstream,
        )


class Redis(Section, frozen=True):
    """A Redis through which many sidecars share replies, budgets, limits and paces.

    It takes the extra `redis` of this package. A call waits 2 ms for it at most, and goes on
    without it.
    """

    url: Annotated[
        str,
        Meta(
            description="`redis://HOST:PORT/DB`, with TLS `rediss://...`, or `unix:///PATH`; "
            "without user and password."
        ),
    ]
    username: Annotated[str | None, Meta(description="User of Redis's ACL.")] = None
    password: Annotated[Secret | None, Meta(description="Its password.")] = None
    ca: Annotated[str | None, Meta(description="CA file for `rediss:`. `null`: the system's.")] = (
        None
    )
    cert: Annotated[str | None, Meta(description="Client certificate file.")] = None
    key: Annotated[str | None, Meta(description="Its key file.")] = None
    cluster: Annotated[bool, Meta(description="The URL is of a node of a Redis Cluster.")] = False
    sentinels: Annotated[
        tuple[str, ...],
        Meta(
            max_length=16,
            description="`HOST:PORT` of Sentinels, which know where the master is; the URL's host "
            "is not used then.",
        ),
    ] = ()
    master: Annotated[
        str | None, Meta(description="Name of the master, as the Sentinels know it.")
    ] = None
    prefix: Annotated[
        Name, Meta(description="Keys begin with it. Sidecars with the same one share.")
    ] = "llm-sidecar"
    secret: Annotated[
        Secret | None,
        Meta(
            description="Only replies that were written with it are read. `null`: replies of "
            "anybody who can write to this Redis."
        ),
    ] = None
    lock: Annotated[
        Duration,
        Meta(
            description="So long, others wait for the one sidecar that asks the upstream. `0s`: "
            "each asks."
        ),
    ] = Duration("30s")


class WarmUp(Section, frozen=True):
    """Calls of the sidecar's own, so that their replies are kept before anybody asks."""

    file: Annotated[
        str, Meta(description="A JSON object a line: `path`, `body`, `headers`, `host`, `client`.")
    ]
    schedule: Annotated[
        str | None,
        Meta(
            description="Cron expression (UTC) by which they are made again, and their replies "
            "replaced. `null`: at the start only."
        ),
    ] = None
    concurrency: Annotated[int, Meta(ge=1, le=100, description="Calls at once.")] = 4


class Store(Section, frozen=True):
    """Where replies of all routes with a `cache` are kept."""

    warm_up: Annotated[
        WarmUp | None,
        Meta(description="Calls that are made for their replies. `null`: none is."),
    ] = None
    redis: Annotated[
        Redis | None,
        Meta(description="Keeps them for many sidecars too. `null`: each has its own."),
    ] = None

    memory: Annotated[
        Size, Meta(description="Memory for them; those that were not used for longest go first.")
    ] = Size("64MiB")


class SingleFlight(Section, frozen=True):
    """The same calls at the same time become one upstream call, whose reply they share."""

    buffer: Annotated[
        Size,
        Meta(
            description="So much of a reply is kept for callers that join late. Beyond it none "
            "joins, and a caller that is further behind than this is cut off."
        ),
    ] = Size("1MiB")
