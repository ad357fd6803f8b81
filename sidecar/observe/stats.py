"""Plain numbers that the hot path adds to and the exporter reads: no lock, no label look-up.

The data plane's loop is the only writer; other threads only read, and a torn read costs nothing
but a count that is one behind.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sidecar.observe.batched import Batched
from sidecar.observe.conventions import Conventions
from sidecar.observe.histogram import Histogram
from sidecar.observe.hosts import PassedHosts
from sidecar.observe.models import Models
from sidecar.observe.reload_stats import ReloadStats, SourceStats
from sidecar.observe.savings import Savings

if TYPE_CHECKING:
    from sidecar.observe.numbers import (
        BudgetNumbers,
        Kept,
        KeyPool,
        Memory,
        Queue,
        QuotaNumbers,
        TokenNumbers,
    )
    from sidecar.observe.store_stats import ExchangeStats, StoreStats


class RouteStats:
    """Calls of one route, as the application saw them."""

    __slots__ = (
        "batched",
        "budget_exhausted",
        "bytes_in",
        "bytes_out",
        "cache",
        "durations",
        "errors",
        "failures",
        "fallbacks",
        "first_byte",
        "hedges",
        "hedges_won",
        "hinted",
        "in_flight",
        "limited",
        "mirrored",
        "models",
        "redacted",
        "resumes",
        "retries",
        "rules",
        "saved",
        "shaped",
        "stateful",
        "statuses",
        "tokens_trimmed",
        "verdicts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.in_flight = 0
        self.statuses: defaultdict[int, int] = defaultdict(int)
        """Ended calls by the status sent downstream; 0 when the caller left before one was."""
        self.errors: defaultdict[str, int] = defaultdict(int)
        """Calls that we failed, by `x-sidecar-error` code."""
        self.durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds from the head to the end, by what became of the call (`Outcome`)."""
        # A rate can't see the first call of a series that was not there before it.
        self.durations.update(ok=Histogram(), failed=Histogram())
        self.first_byte = Histogram()
        """Seconds from the head to the first byte of a whole answer."""
        self.models = Models()
        self.verdicts: defaultdict[str, int] = defaultdict(int)
        """Replies that were read and sent, by what is to be thought of them."""
        self.failures: defaultdict[str, int] = defaultdict(int)
        """Failures that replies told, by kind: rate_limit, overload, money and so on."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.retries: defaultdict[str, int] = defaultdict(int)
        """Retries, by the status or error code of the attempt before."""
        self.budget_exhausted = 0
        """Retries that the budget did not allow."""
        self.hedges = 0
        self.hedges_won = 0
        """Hedges whose head came before the first attempt's."""
        self.fallbacks: defaultdict[str, int] = defaultdict(int)
        """Fallbacks, by the upstream that was tried next."""
        self.mirrored: defaultdict[str, int] = defaultdict(int)
        """Copies sent, by what became of them."""
        self.limited: defaultdict[str, int] = defaultdict(int)
        """Calls refused by a limit, by its error code."""
        self.rules: defaultdict[str, int] = defaultdict(int)
        """Calls that a rule answered or refused, by its name."""
        self.cache: defaultdict[str, int] = defaultdict(int)
        """Calls by what the cache had for them: hit, miss, stale or bypass."""
        self.saved = Savings()
        self.batched = Batched()
        self.redacted: defaultdict[str, int] = defaultdict(int)
        """Values that were masked, by kind; and what else became of calls that were looked at."""
        self.shaped: defaultdict[str, int] = defaultdict(int)
        """Changes to what calls ask, by what was changed."""
        self.hinted: defaultdict[str, int] = defaultdict(int)
        """Calls that could have a hint for a prompt cache, by what became of it."""
        self.stateful: defaultdict[str, int] = defaultdict(int)
        """Calls for what an endpoint keeps, by whether its home was known or unknown."""
        self.resumes: defaultdict[str, int] = defaultdict(int)
        """Streams of stored responses that broke: resumed (each time), given_up."""
        self.tokens_trimmed = 0
        """Tokens that prompts have lost, estimated."""

    def count_limited(self, code: str) -> None:
        """Count a call that a limit refused."""
        self.limited[code] += 1


class EndpointStats:
    """Attempts at one endpoint, and the connections to it."""

    __slots__ = (
        "attempts", "breakers", "bytes_in", "bytes_out", "connect", "connect_errors", "connects",
        "drained", "duration", "errors", "first", "idle", "in_flight", "open", "probes", "replays",
        "transitions", "tunnels", "up", "verdicts", "waiting", "weight",
    )  # fmt: skip

    def __init__(self) -> None:
        self.attempts: defaultdict[int, int] = defaultdict(int)
        """Ended attempts by upstream status; 0 when no head came."""
        self.errors: defaultdict[str, int] = defaultdict(int)
        """Attempts that failed, by error code."""
        self.verdicts: defaultdict[str, int] = defaultdict(int)
        """Replies that were read, by what is to be thought of them."""
        self.in_flight = 0
        self.tunnels = 0
        """Open upgraded connections (WebSocket)."""
        self.first = Histogram()
        """Seconds from the pick to the first content of a stream, or to the head of another reply;
        of attempts that succeeded."""
        self.duration = Histogram()
        """Seconds from the pick to the end of a whole reply."""
        self.connect = Histogram()
        self.connects = 0
        self.connect_errors = 0
        self.replays = 0
        """Requests sent again because a reused connection had died."""
        self.open = 0
        self.idle = 0
        self.waiting = 0
        self.bytes_out = 0
        """Request body bytes sent upstream."""
        self.bytes_in = 0
        """Reply body bytes received."""
        self.weight = 1.0
        self.drained = False
        self.up = True
        """Whether its health checks succeed."""
        self.probes: defaultdict[str, int] = defaultdict(int)
        """Health checks, by result: `ok`, `failed`, or `unknown` where we could not ask."""
        self.breakers: dict[str, str] = {}
        """States of breakers by scope; the first attempt makes a breaker."""
        self.transitions: defaultdict[str, int] = defaultdict(int)
        """Changes of breakers, by the new state."""

    def end(self, status: int, code: str, came: int, tunnel: bool) -> None:
        """Count an attempt that ended, with *code* if it failed, after *came* bytes of a body."""
        self.in_flight -= 1
        self.tunnels -= tunnel
        self.attempts[status] += 1
        self.bytes_in += came
        if code:
            self.errors[code] += 1


class UpstreamStats:
    """Queue, ejections, panic and keys of one upstream."""

    __slots__ = ("ejected", "keys", "panic", "queue", "queue_wait", "shed")

    def __init__(self) -> None:
        self.panic: dict[str, bool] = {}
        """By breaker scope: whether every endpoint is ejected, and all are tried."""
        self.ejected: dict[str, list[str]] = {}
        """By breaker scope: names of ejected endpoints."""
        self.queue: Queue | None = None
        """The `admission` limit, where there is one."""
        self.keys: KeyPool | None = None
        """Its keys, where it has several."""
        self.queue_wait = Histogram()
        self.shed: defaultdict[str, int] = defaultdict(int)
        """Calls that admission refused, by reason."""

    def forget_panic(self, scope: str) -> None:
        """Forget the panic of this breaker scope: load balancers report it anew."""
        self.panic.pop(scope, None)

    def keep_scopes(self, scopes: set[str]) -> None:
        """Forget other breaker scopes."""
        self.panic = {scope: on for scope, on in self.panic.items() if scope in scopes}
        self.ejected = {scope: names for scope, names in self.ejected.items() if scope in scopes}


class ListenerStats:
    """Connections at one listener."""

    __slots__ = (
        "accepted", "decisions", "denied", "handshakes", "open", "passed_hosts", "passed_in",
        "passed_out", "passing", "refused",
    )  # fmt: skip

    def __init__(self) -> None:
        self.accepted = 0
        self.open = 0
        self.decisions: defaultdict[str, int] = defaultdict(int)
        """What became of connections that might be intercepted (`Decision`)."""
        self.passed_hosts = PassedHosts()
        self.passing = 0
        """Connections being passed through."""
        self.passed_out = 0
        """Bytes of clients that were passed through."""
        self.passed_in = 0
        """Bytes of servers that were passed through."""
        self.denied: defaultdict[str, int] = defaultdict(int)
        """Calls that `access` did not let in, by reason."""
        self.handshakes: defaultdict[str, int] = defaultdict(int)
        """TLS handshakes of callers: ok, bad_certificate, failed, left."""
        self.refused: defaultdict[int, int] = defaultdict(int)
        """Messages refused before they were calls, by status (400, 408, 413, 414, 431, ...)."""


class SpanStats:
    """What became of spans that were to be exported."""

    __slots__ = ("dropped", "exported", "failed")

    def __init__(self) -> None:
        self.exported = 0
        self.dropped: defaultdict[str, int] = defaultdict(int)
        """By reason: queue_full, refused, rejected, given_up, shutdown, internal."""
        self.failed: defaultdict[str, int] = defaultdict(int)
        """Requests that failed, by the collector's status or our error code."""


class Stats:
    """Everything that is counted, by the names that label it."""

    __slots__ = (
        "body_memory",
        "budgets",
        "cache",
        "conventions",
        "endpoints",
        "exchange",
        "listeners",
        "log_dropped",
        "quotas",
        "reloads",
        "routes",
        "sources",
        "spans",
        "started",
        "store",
        "tasks",
        "token_limits",
        "upstreams",
    )

    def __init__(self, started: float) -> None:
        self.started = started
        """Unix seconds."""
        self.routes: dict[tuple[str, str], RouteStats] = {}
        """By (route, upstream)."""
        self.endpoints: dict[tuple[str, str], EndpointStats] = {}
        """By (upstream, endpoint address)."""
        self.upstreams: dict[str, UpstreamStats] = {}
        """By name."""
        self.listeners: dict[str, ListenerStats] = {}
        """By address."""
        self.tasks: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        """By name of a task: calls that named it, by what became of them."""
        self.quotas: dict[str, QuotaNumbers] = {}
        """By name, where calls are paced."""
        self.budgets: dict[str, BudgetNumbers] = {}
        """By name."""
        self.token_limits: dict[tuple[str, str], TokenNumbers] = {}
        """By (route, upstream), where there are limits on tokens."""
        self.reloads = ReloadStats()
        self.sources: list[SourceStats] = []
        self.log_dropped = 0
        self.spans = SpanStats()
        self.body_memory: Memory | None = None
        self.cache: Kept | None = None
        self.conventions: Conventions | None = None
        """Counts under the conventions' names; None where they are not wanted."""
        self.store: StoreStats | None = None
        self.exchange: ExchangeStats | None = None

    def upstream(self, name: str) -> UpstreamStats:
        """Of the upstream *name*, new if it is."""
        return self.upstreams.setdefault(name, UpstreamStats())
