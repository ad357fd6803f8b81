"""What a configuration may say: frozen structs, one field a setting.

Field names are the YAML's keys, field docs in `Meta` become docs/configuration.md and the JSON
schema. Durations are seconds, sizes are bytes and shares are from 0 to 1 once decoded. What a type
cannot say (that a name exists, that a path starts with `/`) stands in `rules` and `relations`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.access import Access, ServerTls
from sidecar.config.model.access_log import AccessLog
from sidecar.config.model.balance import Balance
from sidecar.config.model.base import Name, Secret, Section
from sidecar.config.model.budgets import Budgets
from sidecar.config.model.cache import Store
from sidecar.config.model.calls import Calls
from sidecar.config.model.intercept import Intercept, Mode
from sidecar.config.model.limits import Admission, CallLimits, ClientLimits, Clients, Rate
from sidecar.config.model.policy import Breaker, Ejection, Policy, Timeouts
from sidecar.config.model.retries import Backoff, Budget, Hedge, Retry
from sidecar.config.model.route import Fallback, Match, Mirror, Route, Split, Sticky, Target
from sidecar.config.model.tasks import Task, TaskModel
from sidecar.config.model.tracing import Tracing
from sidecar.config.model.units import Duration, Size
from sidecar.config.model.upstream import (
    Credentials,
    Endpoint,
    Health,
    Key,
    LoadReport,
    Pool,
    Tls,
    Upstream,
)
from sidecar.http.limits import HeadLimits
from sidecar.llm.prices import Price as ModelPrice

__all__ = [
    "Access",
    "AccessLog",
    "Admin",
    "Admission",
    "Backoff",
    "Balance",
    "Breaker",
    "Budget",
    "Budgets",
    "Buffers",
    "CallLimits",
    "Calls",
    "ClientLimits",
    "Clients",
    "Config",
    "Credentials",
    "Ejection",
    "Endpoint",
    "Fallback",
    "Health",
    "Hedge",
    "Intercept",
    "Key",
    "Limits",
    "Listener",
    "LoadReport",
    "Match",
    "Metrics",
    "Mirror",
    "Name",
    "Policy",
    "Pool",
    "Rate",
    "Retry",
    "Route",
    "Secret",
    "Section",
    "ServerTls",
    "Split",
    "Sticky",
    "Store",
    "Target",
    "Task",
    "TaskModel",
    "Timeouts",
    "Tls",
    "Tracing",
    "Trust",
    "Upstream",
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

    def settings(self) -> HeadLimits:
        """Make what a parser of requests goes by."""
        body = None if self.body is None else int(self.body)
        sizes = int(self.request_line), int(self.header), int(self.headers)
        return HeadLimits(*sizes, self.header_count, body)


class Trust(Section, frozen=True):
    """What callers of a listener may say of their calls; nothing unless it is turned on."""

    headers: Annotated[
        bool, Meta(description="Obey `x-sidecar-*` headers, which change a call's policy.")
    ] = False
    forwarded_for: Annotated[
        bool,
        Meta(description="Take the client's address from `x-forwarded-for`, its last entry."),
    ] = False
    team: Annotated[
        str | None,
        Meta(
            description="Name of the header, as `x-team`, that says for which team a call is: a "
            "label of its tokens and their cost, and a field of the access log. `null`: none."
        ),
    ] = None


class Listener(Section, frozen=True):
    """An address at which calls arrive."""

    mode: Annotated[
        Mode,
        Meta(
            description="`reverse`: applications point their base URL here. `forward`: they have "
            "it as their HTTP proxy. `capture`: the kernel redirects their connections here."
        ),
    ] = "reverse"
    address: Annotated[
        str | None,
        Meta(
            description="`HOST:PORT`; IPv6 as `[::1]:14001`. For mode `capture`, `localhost:PORT` "
            "is both loopback addresses, as far as the machine has them."
        ),
    ] = None
    path: Annotated[
        str | None, Meta(description="A Unix socket, instead of `address`; for mode `reverse`.")
    ] = None
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
    half_close: Annotated[
        Literal["leave", "serve"],
        Meta(
            description="A client closes its side after a request: it has left, and its call ends "
            "(`leave`), or it still gets its reply (`serve`)."
        ),
    ] = "leave"
    limits: Annotated[Limits, Meta(description="Sizes of what may arrive.")] = Limits()
    trust: Annotated[Trust, Meta(description="What callers may say of their calls.")] = Trust()
    tls: Annotated[
        ServerTls | None,
        Meta(description="Callers connect with https; for mode `reverse`. `null`: with http."),
    ] = None
    access: Annotated[
        Access | None,
        Meta(description="Who may call; for mode `reverse`. `null`: anybody who reaches it."),
    ] = None


class Metrics(Section, frozen=True):
    """What `/metrics` shows besides the sidecar's own metrics."""

    semconv: Annotated[
        Literal["1.41", "latest"] | None,
        Meta(
            description="Count calls also under OpenTelemetry's names (`gen_ai_...`), as of that "
            "version of its conventions; `latest` still changes. `null`: only our own names."
        ),
    ] = None


class Buffers(Section, frozen=True):
    """Memory for request bodies that are held, all calls together."""

    request_bodies: Annotated[
        Size | None,
        Meta(
            description="What they may take; beyond it, new ones wait. `null`: a quarter of the "
            "memory that this process may use (the container's limit, else the machine's)."
        ),
    ] = None
    wait: Annotated[
        Duration, Meta(description="How long a body waits for memory; then its call gets 503.")
    ] = Duration("10s")


class Admin(Section, frozen=True):
    """The control side's own servers."""

    address: Annotated[
        str | None, Meta(description="Admin API; must be a loopback address. `null`: none.")
    ] = "127.0.0.1:14010"
    health: Annotated[
        str | None, Meta(description="/live, /ready and /metrics for the cluster. `null`: none.")
    ] = None


Tariff = Annotated[float, Meta(ge=0, le=1_000_000)]


class Price(Section, frozen=True):
    """Of a million tokens of a model, in the currency of your choice."""

    input: Annotated[Tariff, Meta(description="Read by the model.")]
    output: Annotated[Tariff, Meta(description="Made by it, reasoning too.")]
    cached: Annotated[
        Tariff | None, Meta(description="Read from the provider's cache. `null`: as `input`.")
    ] = None
    cache_write: Annotated[
        Tariff | None,
        Meta(description="Written into the provider's cache. `null`: as `input`."),
    ] = None

    def settings(self) -> ModelPrice:
        """Make what a cost is reckoned by."""
        return ModelPrice(self.input, self.output, self.cached, self.cache_write)


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
    tasks: Annotated[
        dict[Name, Task],
        Meta(
            max_length=100,
            description="What applications want done, by name: `POST /v1/tasks` and the header "
            "`x-llm-task`. Without any, both are as any other path and header.",
        ),
    ] = {}
    prices: Annotated[
        dict[str, Price],
        Meta(
            max_length=1000,
            description="What models cost, by globs (`*` and `?`) of the name of the model that "
            "answers; the first that fits counts.",
        ),
    ] = {}
    budgets: Annotated[Budgets, Meta(description="What may be spent.")] = Budgets()
    intercept: Annotated[
        Intercept, Meta(description="What is intercepted, and what passed through.")
    ] = Intercept()
    buffers: Annotated[Buffers, Meta(description="Memory for request bodies.")] = Buffers()
    access_log: Annotated[AccessLog, Meta(description="One line a call.")] = AccessLog()
    metrics: Annotated[Metrics, Meta(description="Names of the metrics.")] = Metrics()
    tracing: Annotated[Tracing, Meta(description="Where spans of calls go.")] = Tracing()
    admin: Annotated[Admin, Meta(description="Admin and health servers.")] = Admin()
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="How much the log says.")
    ] = "info"
    drain: Annotated[
        Duration,
        Meta(description="After SIGTERM, calls in flight get this long to end. `0s`: none."),
    ] = Duration("30s")
    store: Annotated[Store, Meta(description="Where replies are kept.")] = Store()
    calls: Annotated[Calls, Meta(description="Calls that are kept to be looked at.")] = Calls()
