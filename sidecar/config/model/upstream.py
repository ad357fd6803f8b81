"""A named group of endpoints: where they are, how they are checked and what they carry."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.balance import Balance, Method
from sidecar.config.model.base import Name, Secret, Section
from sidecar.config.model.limits import Admission, Pace
from sidecar.config.model.policy import Policy
from sidecar.config.model.units import Duration, Share
from sidecar.llm.dialects import Dialect


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
    weight: Annotated[
        int,
        Meta(ge=1, le=1000, description="Its part of the calls, beside the others' weights."),
    ] = 1
    labels: Annotated[
        dict[Name, str],
        Meta(max_length=100, description="What it is, as `{version: v2}`: routes choose by it."),
    ] = {}


class Pool(Section, frozen=True):
    """Connections to one endpoint."""

    max_open: Annotated[
        int, Meta(ge=1, le=100_000, description="Connections at once; more calls wait in a queue.")
    ] = 1024
    max_idle: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Idle connections kept; more are closed when they were not needed for 5 s. "
            "`0`: none is kept, not even as long.",
        ),
    ] = 10
    max_waiting: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Calls waiting for a connection, each for `timeouts.first_byte` at most; "
            "more get 503.",
        ),
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


class Key(Credentials, frozen=True):
    """One of several keys; an attempt is sent with one of them."""

    name: Annotated[
        Name | None,
        Meta(description="Its name in metrics and logs. `null`: `key-1` for the first, and so on."),
    ] = None
    quota: Annotated[
        Name | None,
        Meta(
            description="Keys with the same word share one rate limit, as those of one account do: "
            "they cool down together, and have one pace. `null`: the key has its own."
        ),
    ] = None
    weight: Annotated[
        int, Meta(ge=1, le=1000, description="Its part of the calls, beside the others' weights.")
    ] = 1


class Health(Section, frozen=True):
    """Each endpoint is asked at an interval whether it is well; one that is not gets no calls."""

    path: Annotated[str | None, Meta(description="Path of a GET. `null`: none is sent.")] = (
        "/health"
    )
    tcp: Annotated[bool, Meta(description="Only connect: no GET of `path` is sent.")] = False
    expect: Annotated[
        tuple[str, ...],
        Meta(min_length=1, max_length=100, description="Statuses that are well: `204`, `2xx`."),
    ] = ("2xx",)
    interval: Annotated[Duration, Meta(description="From one check to the next.")] = Duration("10s")
    timeout: Annotated[Duration, Meta(description="A check that takes longer has failed.")] = (
        Duration("2s")
    )
    jitter: Annotated[
        Share,
        Meta(description="The interval is changed at random by up to this share, either way."),
    ] = Share("20%")
    healthy: Annotated[
        int, Meta(ge=1, le=100, description="Checks in a row that must succeed to come back.")
    ] = 2
    unhealthy: Annotated[
        int, Meta(ge=1, le=100, description="Checks in a row that must fail to go out.")
    ] = 3
    model: Annotated[
        str | None, Meta(description="A model that must be listed under `models_path`.")
    ] = None
    models_path: Annotated[str, Meta(description="Path of the list of models.")] = "/v1/models"


class LoadReport(Section, frozen=True):
    """What each endpoint says of its own load, for `balance: dynamic`.

    It counts beside the latency that is measured, as far as the load is of others: an endpoint that
    says it is full gets fewer calls, not none.
    """

    path: Annotated[
        str | None,
        Meta(description="Path of its Prometheus metrics (vLLM, SGLang, TGI). `null`: none."),
    ] = "/metrics"
    interval: Annotated[Duration, Meta(description="From one look to the next.")] = Duration("2s")
    timeout: Annotated[Duration, Meta(description="A look that takes longer has failed.")] = (
        Duration("1s")
    )
    stale_after: Annotated[
        Duration, Meta(description="A report counts less with age, and for nothing after this.")
    ] = Duration("10s")
    gpu: Annotated[
        str | None,
        Meta(
            description="URL of a DCGM exporter for the use of GPUs; `{host}` stands for the "
            "endpoint's host, as `http://{host}:9400/metrics`. `null`: none."
        ),
    ] = None
    orca: Annotated[
        bool, Meta(description="Read `endpoint-load-metrics` headers of its replies too.")
    ] = True


class Upstream(Section, frozen=True):
    """A named group of endpoints that serve the same models."""

    endpoints: Annotated[
        tuple[Endpoint, ...], Meta(min_length=1, max_length=1000, description="Its servers.")
    ]
    dialect: Annotated[
        Dialect,
        Meta(
            description="The API that it speaks; shapes our errors. `mistral` and `cohere` are for "
            "callers with these providers' own SDKs; with OpenAI's, they speak `openai`."
        ),
    ] = "openai"
    include_usage: Annotated[
        bool,
        Meta(
            description="It takes `stream_options.include_usage`: streams are asked for their "
            "tokens, and callers that did not ask are not shown the event that tells them."
        ),
    ] = False
    balance: Annotated[Method | Balance, Meta(description="How an endpoint is chosen.")] = (
        "round_robin"
    )
    credentials: Annotated[
        Credentials
        | Annotated[tuple[Key, ...], Meta(min_length=1, max_length=100)]
        | Literal["forward", "drop"]
        | None,
        Meta(
            description="What we authenticate with, instead of the caller's header of that name. "
            "A list: [several keys](keys.md) that act as one. "
            "`forward`: the caller's keys go to it, also as another upstream than its route's own. "
            "`drop`: they never do. `null`: only as a route's own."
        ),
    ] = None
    tls: Annotated[Tls, Meta(description="For https endpoints.")] = Tls()
    pool: Annotated[Pool, Meta(description="Connections to each endpoint.")] = Pool()
    dns_refresh: Annotated[Duration, Meta(description="How often names are resolved again.")] = (
        Duration("30s")
    )
    dns_max_stale: Annotated[
        Duration,
        Meta(
            description="How long the last addresses of a name serve while the resolver fails. "
            "When it says twice that there is no such name, they serve no longer."
        ),
    ] = Duration("24h")
    health: Annotated[Health | None, Meta(description="Active checks. `null`: none.")] = None
    load: Annotated[
        LoadReport | None, Meta(description="Where endpoints report load. `null`: nowhere.")
    ] = None
    admission: Annotated[
        Admission | None, Meta(description="Calls in flight, and a queue. `null`: no bound.")
    ] = None
    pace: Annotated[
        Pace | None,
        Meta(description="Calls are paced by the provider's rate limit. `null`: they are not."),
    ] = None
    policy: Annotated[
        str | Policy | None,
        Meta(
            description="Name of a policy, or one written here, for every route that comes here; "
            "the route's own wins. `null`: `default`."
        ),
    ] = None

    def keys(self) -> tuple[Credentials, ...]:
        """What we may authenticate with: none of it, one key, or several."""
        if isinstance(self.credentials, Credentials):
            return (self.credentials,)
        return self.credentials if isinstance(self.credentials, tuple) else ()

    def balance_under(self, policy: Policy) -> Balance:
        """How endpoints are chosen for calls of *policy*: as it says, else as the upstream does."""
        chosen = self.balance if policy.balance is None else policy.balance
        return Balance(method=chosen) if isinstance(chosen, str) else chosen

    @property
    def urls(self) -> list[str]:
        """The URLs of its endpoints, as they are written."""
        return [each.url or each.dns or "" for each in self.endpoints]

    def reports_live(self) -> float:
        """How long a load report counts, in seconds."""
        return float((self.load or LoadReport()).stale_after)
