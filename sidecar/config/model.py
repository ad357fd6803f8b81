"""What a configuration may say: frozen structs, one field a setting.

Field names are the YAML's keys, field docs in `Meta` become docs/configuration.md and the JSON
schema. Durations are seconds and sizes are bytes once decoded. What a type cannot say (that a name
exists, that a path starts with `/`) stands in `rules` and `relations`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from sidecar.config.units import Duration, Size


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are errors."""


class Secret(str):
    """Text that its repr hides: logs, tracebacks and test failures print reprs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


Dialect = Literal["openai", "anthropic", "gemini"]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
        title="name",
        description="Letters, digits, `_`, `.` and `-`; at most 63, as it labels metrics.",
    ),
]


class Limits(Section, frozen=True):
    """What a downstream message may measure; more is refused and the connection closed."""

    request_line: Annotated[Size, Meta(description="Request line; longer is 414.")] = Size("16KiB")
    header: Annotated[Size, Meta(description="One header line; longer is 431.")] = Size("16KiB")
    headers: Annotated[Size, Meta(description="All headers together; more is 431.")] = Size("64KiB")
    header_count: Annotated[
        int, Meta(ge=1, le=10_000, description="How many headers; more is 431.")
    ] = 128
    body: Annotated[
        Size | None, Meta(description="Request body; more is 413. `null`: any size.")
    ] = None


class Listener(Section, frozen=True):
    """A place where calls arrive."""

    mode: Annotated[
        Literal["reverse"],
        Meta(description="`reverse`: applications point their base URL here."),
    ] = "reverse"
    address: Annotated[str | None, Meta(description="`HOST:PORT`; IPv6 as `[::1]:14001`.")] = None
    path: Annotated[str | None, Meta(description="A Unix socket, instead of `address`.")] = None
    max_connections: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Connections at once; more get 503."),
    ] = 10_000
    head_timeout: Annotated[
        Duration, Meta(description="From a request's first byte to the end of its head; then 408.")
    ] = Duration("30s")
    keep_alive: Annotated[
        Duration, Meta(description="How long a connection may rest between calls.")
    ] = Duration("1h")
    limits: Annotated[Limits, Meta(description="Sizes of what may arrive.")] = Limits()


class Tls(Section, frozen=True):
    """How an https endpoint is verified, and what we show it."""

    ca: Annotated[
        str | None, Meta(description="PEM file of the roots to trust instead of the system's.")
    ] = None
    cert: Annotated[str | None, Meta(description="PEM file of our client certificate.")] = None
    key: Annotated[
        str | None, Meta(description="PEM file of its key; absent: it stands in `cert`.")
    ] = None
    server_name: Annotated[
        str | None, Meta(description="Name to ask for (SNI) and verify; absent: the URL's host.")
    ] = None


class Endpoint(Section, frozen=True):
    """One server of an upstream (`url`), or one for each address of a name (`dns`)."""

    url: Annotated[
        str | None,
        Meta(
            description="`http://host:port/base`. `{name}` stands for what a route's match "
            "captured; every route to the upstream must capture it."
        ),
    ] = None
    dns: Annotated[
        str | None, Meta(description="Like `url`; every address of the name is an endpoint.")
    ] = None


class Pool(Section, frozen=True):
    """Connections to one endpoint."""

    max_open: Annotated[
        int, Meta(ge=1, le=100_000, description="Connections at once; calls beyond wait in line.")
    ] = 50
    max_idle: Annotated[int, Meta(ge=0, le=100_000, description="Idle connections kept.")] = 10
    max_waiting: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Calls waiting for a connection; more get 503.")
    ] = 1024
    lifetime: Annotated[
        Duration, Meta(description="A connection is not used again after this.")
    ] = Duration("1h")
    idle_timeout: Annotated[
        Duration,
        Meta(description="An idle connection is closed after this; keep it under the server's."),
    ] = Duration("60s")


class Credentials(Section, frozen=True):
    """A header that is set on every attempt, replacing the caller's."""

    header: Annotated[str, Meta(description="Name of the header.")]
    value: Annotated[
        Secret, Meta(description="Its value, usually `Bearer ${file:...}`. Never shown.")
    ]


class Upstream(Section, frozen=True):
    """A named group of endpoints that serve the same models."""

    endpoints: Annotated[
        tuple[Endpoint, ...], Meta(min_length=1, max_length=1000, description="Its servers.")
    ]
    dialect: Annotated[Dialect, Meta(description="The API that it speaks; shapes our errors.")] = (
        "openai"
    )
    balance: Annotated[Literal["round_robin"], Meta(description="How an endpoint is chosen.")] = (
        "round_robin"
    )
    credentials: Annotated[Credentials | None, Meta(description="What we authenticate with.")] = (
        None
    )
    tls: Annotated[Tls, Meta(description="For https endpoints.")] = Tls()
    pool: Annotated[Pool, Meta(description="Connections to each endpoint.")] = Pool()
    dns_refresh: Annotated[Duration, Meta(description="How often names are resolved again.")] = (
        Duration("30s")
    )


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
        str | None, Meta(description="Glob (`*` and `?`) for `model` in the JSON body.")
    ] = None


class Route(Section, frozen=True):
    """Calls that match go to an upstream under a policy. The first route that matches wins."""

    upstream: Annotated[str, Meta(description="Name of an upstream.")]
    name: Annotated[
        Name | None, Meta(description="For logs and metrics; absent: `INDEX-UPSTREAM`.")
    ] = None
    match: Annotated[Match, Meta(description="Which calls.")] = Match()
    policy: Annotated[str, Meta(description="Name of a policy.")] = "default"
    rewrite: Annotated[
        str | None, Meta(description="Replaces the matched path prefix; `/` drops it.")
    ] = None


class Timeouts(Section, frozen=True):
    """The four timers. Each names itself in the error that it causes."""

    connect: Annotated[
        Duration, Meta(description="To connect, TLS included, and to wait for a place in the pool.")
    ] = Duration("5s")
    first_byte: Annotated[
        Duration | UnsetType,
        Meta(
            description="From the request sent to the reply's head. Absent: 120s for streams, "
            "600s for other calls."
        ),
    ] = UNSET
    idle: Annotated[Duration, Meta(description="Between two chunks of a body.")] = Duration("120s")
    total: Annotated[Duration | None, Meta(description="The whole call. `null`: no end.")] = None


class Policy(Section, frozen=True):
    """How calls are treated. Every field has a default that breaks no call that would succeed."""

    timeouts: Annotated[Timeouts, Meta(description="The timers.")] = Timeouts()
    hold: Annotated[
        Size,
        Meta(
            description="Request bodies up to this are held, so that they can be sent again; "
            "larger ones stream. `0B`: none is held."
        ),
    ] = Size("8MiB")


class AccessLog(Section, frozen=True):
    """One JSON line a call."""

    path: Annotated[
        str | None, Meta(description="A file, or `-` for standard output. `null`: no access log.")
    ] = "-"
    max_queued: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Lines that may wait for a slow disk; more are dropped and counted.",
        ),
    ] = 10_000


class Admin(Section, frozen=True):
    """The control side's own servers."""

    address: Annotated[
        str | None, Meta(description="Admin API; must be a loopback address. `null`: none.")
    ] = "127.0.0.1:14010"
    health: Annotated[
        str | None, Meta(description="/live, /ready and /metrics for the cluster. `null`: none.")
    ] = None


class Config(Section, frozen=True):
    """A whole configuration file."""

    listeners: Annotated[
        tuple[Listener, ...], Meta(min_length=1, max_length=100, description="Where calls arrive.")
    ]
    upstreams: Annotated[
        dict[Name, Upstream],
        Meta(min_length=1, max_length=1000, description="Named groups of endpoints."),
    ]
    routes: Annotated[
        tuple[Route, ...],
        Meta(min_length=1, max_length=1000, description="In order; the first match wins."),
    ]
    policies: Annotated[
        dict[Name, Policy],
        Meta(max_length=1000, description="Named policies; `default` is used where none is named."),
    ] = {}
    access_log: Annotated[AccessLog, Meta(description="One line a call.")] = AccessLog()
    admin: Annotated[Admin, Meta(description="Admin and health servers.")] = Admin()
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="How much the log says.")
    ] = "info"
    drain: Annotated[
        Duration,
        Meta(description="After SIGTERM, calls in flight get this long to end. `0s`: none."),
    ] = Duration("30s")
