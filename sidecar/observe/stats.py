"""Plain numbers that the hot path adds to and the exporter reads: no lock, no label look-up.

The data plane's loop is the only writer; other threads only read, and a torn read costs nothing
but a count that is one behind.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sidecar.observe.batched import Batched
from sidecar.observe.conventions import Conventions
from sidecar.observe.histogram import Histogram
from sidecar.observe.hosts import PassedHosts
from sidecar.observe.models import Models
from sidecar.observe.savings import Savings

if TYPE_CHECKING:
    from sidecar.policy.admission import AdmissionSettings
    from sidecar.policy.spending import BudgetSettings


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


class Queue(Protocol):
    """The numbers of an `admission` limit."""

    @property
    def in_flight(self) -> int:
        """Calls in flight that count in it."""

    @property
    def queued(self) -> int:
        """Calls that wait."""

    @property
    def settings(self) -> AdmissionSettings:
        """How many of each there may be."""


class KeyNumbers(Protocol):
    """The numbers of one of an upstream's keys."""

    @property
    def name(self) -> str:
        """Never the key itself."""

    @property
    def calls(self) -> dict[str, int]:
        """Attempts by result."""

    @property
    def cooldowns(self) -> int:
        """How often it was rate-limited and cooled down."""

    def state(self, now: float) -> str:
        """Return `in_use`, `cooling`, `restricted` or `refused`; *now*: monotonic seconds."""


class KeyPool(Protocol):
    """Several keys of an upstream."""

    @property
    def keys(self) -> Sequence[KeyNumbers]:
        """The keys, as they are configured."""

    def restore(self, name: str | None) -> int:
        """Use the key *name* again (None: all). Return how many there are."""

    def shown(self, now: float) -> list[dict[str, object]]:
        """Return what an operator may see of each key; *now*: monotonic seconds."""


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


class Memory(Protocol):
    """The numbers of the memory for request bodies."""

    @property
    def used(self) -> int:
        """Bytes."""

    @property
    def total(self) -> int:
        """Bytes."""

    @property
    def waiting(self) -> int:
        """Bodies that wait for memory."""

    @property
    def refused(self) -> int:
        """Bodies that got no memory in time."""


class Kept(Protocol):
    """The numbers of the replies that are kept in memory."""

    @property
    def entries(self) -> int:
        """Replies."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def evicted(self) -> int:
        """Replies that made room for others."""

    def purge(self, route: str | None, model: str | None) -> int:
        """Forget the replies of *route* and *model* (None: of any); return their number."""


class StoreStats:
    """Questions to the store that sidecars share."""

    __slots__ = ("last_error", "results", "seconds", "state")

    def __init__(self) -> None:
        self.results: defaultdict[str, int] = defaultdict(int)
        """hit and miss; late, error, busy and refused; foreign: a value that is not ours."""
        self.seconds = Histogram()
        """Of answers that came in time."""
        self.state = "closed"
        """Of its circuit."""
        self.last_error = ""


class ExchangeStats:
    """Rounds in which sidecars tell each other what they have used."""

    __slots__ = ("alone", "last_error", "peers", "results", "seconds")

    def __init__(self) -> None:
        self.results: defaultdict[str, int] = defaultdict(int)
        """answered and failed rounds; late: a call waited in vain; lost: the store forgot."""
        self.seconds = Histogram()
        """Of rounds that were answered."""
        self.alone = False
        """Whether this sidecar goes by its own share, since the store does not answer."""
        self.peers = 1
        """Sidecars that share, this one too, as last told."""
        self.last_error = ""

    def shown(self) -> dict[str, object]:
        """Return what an operator sees of it."""
        return {
            "available": not self.alone,
            "peers": self.peers,
            "rounds": dict(self.results),
            "last_error": self.last_error or None,
        }


class TokenNumbers(Protocol):
    """The numbers of the limits on tokens of a route at one upstream, by kind: requests, input,
    output, total."""

    @property
    def reserved(self) -> Mapping[str, int]:
        """What calls in flight have reserved."""

    @property
    def used(self) -> Mapping[str, int]:
        """What settled calls have used."""

    @property
    def refused(self) -> Mapping[str, int]:
        """Calls that did not fit."""

    @property
    def shared(self) -> bool:
        """Whether other sidecars have the same limits with this one."""

    @property
    def waiting(self) -> int:
        """Calls that wait."""


class QuotaNumbers(Protocol):
    """The numbers of a quota by which calls are paced."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""

    @property
    def eased(self) -> float:
        """What refusals have left of the pace, up to 1."""

    @property
    def refused(self) -> int:
        """Calls that did not get their turn."""

    @property
    def throttled(self) -> int:
        """Calls that the provider refused with 429."""


class BudgetNumbers(Protocol):
    """The numbers of a budget."""

    @property
    def exceeded(self) -> int:
        """Calls that found it spent."""

    @property
    def settings(self) -> BudgetSettings:
        """Its amount and unit."""

    @property
    def book(self) -> Book:
        """Where its sums are."""

    def current(self) -> dict[str, float]:
        """Return what was spent here in this period, by client."""

    def totals(self) -> dict[str, float]:
        """Return the same, with what other sidecars have spent."""

    def shown(self) -> dict[str, object]:
        """Return what an operator sees of it."""


class Book(Protocol):
    """The sums of budgets and their ledger."""

    @property
    def errors(self) -> int:
        """How often the ledger could not be used."""


class SourceStats:
    """What is known of the source of the configuration."""

    __slots__ = ("errors", "last_error", "last_heard", "name", "revision")

    def __init__(self, name: str) -> None:
        self.name = name
        """A path or URL, without anything secret."""
        self.revision = ""
        """Of the text that was read last, in the source's own terms."""
        self.last_heard = 0.0
        """Unix seconds when the source was last read or found unchanged; 0 for never."""
        self.errors = 0
        """How often it could not be read."""
        self.last_error = ""
        """Why it can't be read now; empty while it can."""

    def heard(self, revision: str) -> None:
        """Note that the source was read."""
        self.revision = revision
        self.last_heard = time.time()
        self.last_error = ""

    def failed(self, error: str) -> None:
        """Note that the source can't be read."""
        self.errors += 1
        self.last_error = error


class ReloadStats:
    """What became of configuration reloads."""

    __slots__ = (
        "accepted",
        "awaited",
        "config_hash",
        "last_accepted",
        "last_error",
        "rejected",
        "unchanged",
        "warnings",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.warnings: tuple[str, ...] = ()
        """What is doubtful in the configuration that serves."""
        self.awaited: tuple[str, ...] = ()
        """Which files of keys it waits for."""
        self.rejected = 0
        self.unchanged = 0
        self.last_accepted = 0.0
        """Unix seconds; 0 when there was none."""
        self.last_error = ""
        """All errors of the last bad configuration, empty once a good one was taken."""
        self.config_hash = ""


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
