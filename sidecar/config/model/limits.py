"""How much may come in: rates, concurrency, and a queue before an upstream."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Section
from sidecar.config.model.units import Duration, Share, Size
from sidecar.policy.admission import AdmissionSettings

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Tokens = Annotated[int, Meta(ge=1, le=10**12)]


class Rate(Section, frozen=True):
    """So many calls a second; more get 429 with `retry-after`."""

    per_second: Annotated[
        float, Meta(ge=0.001, le=1_000_000, description="Calls a second, on average.")
    ]
    burst: Annotated[
        Count | None,
        Meta(description="Calls at once. `null`: one second's worth."),
    ] = None


class Clients(Section, frozen=True):
    """What tells clients apart."""

    by: Annotated[
        Literal["address", "key", "header", "connection"],
        Meta(
            description="What tells clients apart: their IP address, the key that they show "
            "(`authorization`, `x-api-key`, `api-key`, `x-goog-api-key`; else their address), "
            "a header's value, or their connection. In place of an address or key, the name of a "
            "caller that is known (`access`)."
        ),
    ] = "address"
    header: Annotated[str | None, Meta(description="Name of the header, with `by: header`.")] = None


class ClientLimits(Clients, frozen=True):
    """The same limits for each client by itself."""

    rate: Annotated[Rate | None, Meta(description="Calls a second. `null`: any number.")] = None
    concurrency: Annotated[
        Count | None,
        Meta(description="Calls at once; more get 429. `null`: any number."),
    ] = None
    max_clients: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Clients that are remembered; beyond, the one that called least recently "
            "is forgotten.",
        ),
    ] = 10_000


Requests = Annotated[Tokens | None, Meta(description="Calls. `null`: any number.")]
Input = Annotated[Tokens | None, Meta(description="Input tokens. `null`: any number.")]
Output = Annotated[Tokens | None, Meta(description="Output tokens. `null`: any number.")]
Total = Annotated[
    Tokens | None, Meta(description="Input and output tokens together. `null`: any number.")
]


class TokenBounds(Section, frozen=True):
    """The most of each in any minute."""

    requests: Requests = None
    input: Input = None
    output: Output = None
    total: Total = None


class ModelTokens(TokenBounds, frozen=True):
    """The same limits for each model by itself."""

    max_models: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Models that are remembered; beyond, the one asked for least recently is "
            "forgotten.",
        ),
    ] = 1000


class ClientTokens(Clients, frozen=True):
    """The same limits for each client by itself."""

    # msgspec has no structs with two bases that have fields.
    requests: Requests = None
    input: Input = None
    output: Output = None
    total: Total = None

    max_clients: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Clients that are remembered; beyond, the one that called least recently "
            "is forgotten.",
        ),
    ] = 10_000


class TokenLimits(TokenBounds, frozen=True):
    """Tokens and calls a minute, of each route at each of its upstreams."""

    model: Annotated[ModelTokens | None, Meta(description="Limits for each model.")] = None
    client: Annotated[ClientTokens | None, Meta(description="Limits for each client.")] = None
    when_exceeded: Annotated[
        Literal["refuse", "wait", "fallback"],
        Meta(
            description="A call that does not fit gets 429 with `retry-after`; or waits in a "
            "queue; or goes to the route's next `fallback`, and gets 429 if none is left."
        ),
    ] = "refuse"
    max_wait: Annotated[
        Duration,
        Meta(description="With `wait`: a call that would wait longer gets 429 at once."),
    ] = Duration("30s")
    max_waiting: Annotated[
        Count, Meta(description="With `wait`: calls that may wait; more get 429.")
    ] = 100
    redis: Annotated[
        bool,
        Meta(
            description="All sidecars that use the same `store.redis` have these limits together, "
            "for routes of the same name; else each has its own."
        ),
    ] = False


class CallLimits(Section, frozen=True):
    """How many calls may come. Each route counts for itself."""

    rate: Annotated[Rate | None, Meta(description="Calls a second. `null`: any number.")] = None
    concurrency: Annotated[
        Count | None,
        Meta(description="Calls at once; more get 429. `null`: any number."),
    ] = None
    client: Annotated[ClientLimits | None, Meta(description="Limits for each client.")] = None
    tokens: Annotated[
        TokenLimits | None, Meta(description="Limits on tokens a minute. `null`: any number.")
    ] = None


class Pace(Section, frozen=True):
    """Calls go as fast as the provider's rate limit allows, by what its replies tell of it."""

    quota: Annotated[
        Name | None,
        Meta(
            description="Upstreams with the same word share one rate limit at their provider, and "
            "one pace; of several keys, those without a `quota`. `null`: the upstream, or each "
            "such key, has its own."
        ),
    ] = None
    max_wait: Annotated[
        Duration,
        Meta(description="A call that waits longer for its turn gets 429, or a fallback."),
    ] = Duration("60s")
    max_waiting: Annotated[
        Count, Meta(description="Calls that may wait; more get 429, or a fallback.")
    ] = 1000
    redis: Annotated[
        bool,
        Meta(
            description="Sidecars with the same `quota` that use the same `store.redis` tell each "
            "other what was refused, and where replies tell no levels, find one pace together."
        ),
    ] = False


class Admission(Section, frozen=True):
    """A bound on calls in flight to an upstream, and a queue for those that wait."""

    max_in_flight: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Calls at once, hedges among them; more calls wait in the queue.",
        ),
    ]
    max_queued: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Calls in the queue; more get 503. 0: no queue.")
    ] = 100
    max_queued_bytes: Annotated[
        Size, Meta(description="Bodies of queued calls together; more get 503.")
    ] = Size("64MiB")
    shed_at: Annotated[
        Share,
        Meta(description="When the queue is this full, it takes only calls of high priority."),
    ] = Share("80%")
    max_wait: Annotated[
        Duration,
        Meta(
            description="A call that would wait longer gets 503 at once; so does one that would "
            "wait so long that it can't be served before its deadline."
        ),
    ] = Duration("30s")
    clients: Annotated[
        Clients,
        Meta(
            description="Clients take turns in the queue; when it is full, the one that has most "
            "in it makes room for the others."
        ),
    ] = Clients()

    def settings(self) -> AdmissionSettings:
        """Make what admission goes by."""
        return AdmissionSettings(
            max_in_flight=self.max_in_flight,
            max_queued=self.max_queued,
            max_queued_bytes=int(self.max_queued_bytes),
            shed_at=float(self.shed_at),
            max_wait=float(self.max_wait),
        )
