"""Which calls go where."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Secret, Section
from sidecar.config.model.policy import Policy
from sidecar.config.model.retries import RETRY_ON
from sidecar.config.model.units import Share


class Match(Section, frozen=True):
    """What a call must be like. All that is given must hold; an empty match takes every call."""

    host: Annotated[
        str | None,
        Meta(
            description="Host of the request, without port, in lower case. `*.x.com`: one or more "
            "labels more; `{name}.x.com` captures one label, `{name}-api.x.com` a part of one."
        ),
    ] = None
    path: Annotated[
        str | None,
        Meta(
            description="Path prefix, on `/` boundaries: `/v1` and `/v1/` both take `/v1` and "
            "`/v1/x`, not `/v1x`. `{name}` captures one segment."
        ),
    ] = None
    method: Annotated[str | None, Meta(description="Request method, as `POST`.")] = None
    headers: Annotated[
        dict[str, Secret],
        Meta(
            max_length=100,
            description="Header names, and globs (`*` and `?`) for their values; `*` alone: "
            "the header is there.",
        ),
    ] = {}
    model: Annotated[
        str | None, Meta(description="Glob (`*` and `?`) for `model` in the body.")
    ] = None


class Target(Section, frozen=True):
    """Another upstream than the route's own, or another model of the same one."""

    upstream: Annotated[str, Meta(description="Name of an upstream.")]
    model: Annotated[
        str | None,
        Meta(description="What it is asked for as `model`. `null`: what the caller asked for."),
    ] = None


class Split(Target, frozen=True, kw_only=True):
    """Another upstream that gets a share of the calls."""

    share: Annotated[Share, Meta(description="Its share of the calls. `0%`: none.")]


class Fallback(Target, frozen=True):
    """Another upstream for calls that failed, when no retry is left."""


class Sticky(Section, frozen=True):
    """Keep a caller on one side of a split."""

    by: Annotated[
        Literal["client", "header", "cookie"],
        Meta(description="What tells callers apart: their IP address, a header or a cookie."),
    ]
    name: Annotated[str | None, Meta(description="Name of the header or cookie.")] = None


class Mirror(Target, frozen=True):
    """Another upstream that gets a copy of calls; its replies are not waited for, but dropped."""

    share: Annotated[Share, Meta(description="Share of the calls that are copied.")] = Share("100%")
    max_in_flight: Annotated[
        int, Meta(ge=1, le=100_000, description="Copies at once; beyond, none is made.")
    ] = 100


class Route(Section, frozen=True):
    """Calls that match go to an upstream under a policy. The first route that matches wins."""

    upstream: Annotated[str, Meta(description="Name of an upstream.")]
    name: Annotated[
        Name | None, Meta(description="For logs and metrics; absent: `INDEX-UPSTREAM`.")
    ] = None
    match: Annotated[Match, Meta(description="Which calls.")] = Match()
    policy: Annotated[str | Policy, Meta(description="Name of a policy, or one written here.")] = (
        "default"
    )
    rewrite: Annotated[
        str | None, Meta(description="Replaces the matched path prefix; `/` drops it.")
    ] = None
    model: Annotated[
        str | None,
        Meta(
            description="What the upstream is asked for as `model`, so that callers know an alias "
            "only. `null`: what the caller asked for."
        ),
    ] = None
    split: Annotated[
        tuple[Split, ...],
        Meta(max_length=100, description="Upstreams that get a share; `upstream` gets the rest."),
    ] = ()
    sticky: Annotated[
        Sticky | None, Meta(description="Keeps a caller on its side of `split`. `null`: at random.")
    ] = None
    fallback: Annotated[
        tuple[Fallback, ...],
        Meta(max_length=10, description="Where a call that failed goes next, in order."),
    ] = ()
    fallback_on: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            max_length=100,
            description="Which failures do that, in the words of `retry.on`.",
        ),
    ] = RETRY_ON
    labels: Annotated[
        dict[Name, str],
        Meta(max_length=100, description="Only endpoints that have all of these labels are used."),
    ] = {}
    labels_missing: Annotated[
        Literal["error", "any"],
        Meta(description="No endpoint has them: 503 (`error`), or use any endpoint (`any`)."),
    ] = "error"
    mirror: Annotated[
        Mirror | None, Meta(description="Copies calls to another upstream. `null`: no copies.")
    ] = None
