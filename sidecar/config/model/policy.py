"""How calls are treated."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from sidecar.config.model.balance import Balance, Method
from sidecar.config.model.base import Section
from sidecar.config.model.batch import Batch
from sidecar.config.model.cache import Cache, CacheKey, SingleFlight
from sidecar.config.model.limits import CallLimits
from sidecar.config.model.prompt_cache import PromptCache
from sidecar.config.model.redact import Redact
from sidecar.config.model.retries import Hedge, Retry
from sidecar.config.model.rules import Rule
from sidecar.config.model.shape import Shape
from sidecar.config.model.units import Duration, Share, Size
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.ejection import EjectionSettings
from sidecar.policy.gate import GateSettings
from sidecar.policy.timeouts import Timers

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[dict[Priority, int]] = {"high": 0, "normal": 1, "low": 2}
"""The lower number goes first."""


class Timeouts(Section, frozen=True):
    """The four timers. Each names itself in the error that it causes."""

    connect: Annotated[Duration, Meta(description="To connect: name, TCP and TLS.")] = Duration(
        "5s"
    )
    first_byte: Annotated[
        Duration | UnsetType,
        Meta(
            description="From the request sent to the first byte of the reply's body. Absent: "
            "600s, and a call that waited so long is not tried again."
        ),
    ] = UNSET
    idle: Annotated[Duration, Meta(description="Between two chunks of a body.")] = Duration("120s")
    total: Annotated[
        Duration | None,
        Meta(description="The whole call, all its attempts and waits. `null`: no end."),
    ] = None

    sdk: Annotated[
        bool,
        Meta(
            description="The read timeout of a caller's SDK (`x-stainless-read-timeout`) bounds "
            "its call as well: the whole call, or the wait for a stream's "
            "first byte. It gets an error with a reason just before it would give up."
        ),
    ] = False

    def settings(self) -> Timers:
        """Make what calls are timed by."""
        first_byte = None if self.first_byte is UNSET else float(self.first_byte)
        total = None if self.total is None else float(self.total)
        return Timers(float(self.connect), first_byte, float(self.idle), total)


class Breaker(Section, frozen=True):
    """Takes an endpoint out of rotation while too many of its calls fail or are slow.

    Failures are what the endpoint causes: no connection, no or a broken reply, 408 and 5xx; and no
    reply after several times what is usual, when the caller leaves or a hedge is faster.
    """

    failure_rate: Annotated[
        Share, Meta(description="It opens when this share of the calls failed.")
    ] = Share("50%")
    slow_after: Annotated[
        Duration | None,
        Meta(description="A call whose first byte takes longer is slow. `null`: none is."),
    ] = None
    slow_rate: Annotated[
        Share,
        Meta(
            description="It opens when this share of the calls were slow, or slower than a hedge."
        ),
    ] = Share("80%")
    min_calls: Annotated[
        int, Meta(ge=1, le=100_000, description="No share is looked at for fewer calls.")
    ] = 10
    window: Annotated[Duration, Meta(description="Calls older than this do not count.")] = Duration(
        "30s"
    )
    window_calls: Annotated[
        int, Meta(ge=1, le=100_000, description="Only so many of the last calls count.")
    ] = 100
    open: Annotated[
        Duration,
        Meta(description="How long it stays open; twice as long each time that its trials fail."),
    ] = Duration("1s")
    open_max: Annotated[Duration, Meta(description="The longest that it stays open.")] = Duration(
        "60s"
    )
    jitter: Annotated[
        Share,
        Meta(description="That time is changed at random by up to this share, either way."),
    ] = Share("20%")
    trials: Annotated[
        int,
        Meta(ge=1, le=1000, description="Calls let through after it; it closes if all succeed."),
    ] = 3

    def settings(self) -> BreakerSettings:
        """Make what a breaker goes by."""
        return BreakerSettings(
            failure_rate=float(self.failure_rate),
            slow_rate=float(self.slow_rate),
            slow_after=None if self.slow_after is None else float(self.slow_after),
            min_calls=self.min_calls,
            window=float(self.window),
            window_calls=self.window_calls,
            open=float(self.open),
            open_max=float(self.open_max),
            jitter=float(self.jitter),
            trials=self.trials,
        )


class Ejection(Section, frozen=True):
    """How many endpoints of an upstream breakers and health checks may take out at once."""

    max_ejected: Annotated[
        Share | None,
        Meta(description="Share of the endpoints. `null`: all but one."),
    ] = None
    panic: Annotated[
        bool,
        Meta(
            description="When all are out, use all (`true`), or refuse calls with 503 (`false`). "
            "Where a route has a `fallback` left, calls go there instead."
        ),
    ] = True

    def settings(self) -> EjectionSettings:
        """Make what ejection goes by."""
        share = None if self.max_ejected is None else float(self.max_ejected)
        return EjectionSettings(share, self.panic)


class Gate(Section, frozen=True):
    """Hold a stream back until it says something, so that one which begins with an error, or ends
    without a word, can be had again elsewhere."""

    wait: Annotated[
        Duration,
        Meta(description="From its first byte on; then it goes on as it is."),
    ] = Duration("15s")
    bytes: Annotated[Size, Meta(description="So much of it is held at most.")] = Size("64KiB")

    def settings(self) -> GateSettings:
        """Make what a reply is held by."""
        return GateSettings(float(self.wait), int(self.bytes))


class Resume(Section, frozen=True):
    """What becomes of a stored response's stream that breaks: it goes on where it was.

    The sidecar asks the same endpoint for the events behind the last one that the caller got.
    """

    tries: Annotated[
        int,
        Meta(
            ge=1, le=100, description="So many tries in a row may bring no event; then it breaks."
        ),
    ] = 5


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
    retry: Annotated[Retry, Meta(description="Another attempt after one that failed.")] = Retry()
    hedge: Annotated[
        Hedge | None, Meta(description="A second attempt beside a slow one. `null`: none.")
    ] = None
    breaker: Annotated[
        Breaker | None, Meta(description="Takes failing endpoints out. `null`: none.")
    ] = Breaker()
    ejection: Annotated[Ejection, Meta(description="How many may be out at once.")] = Ejection()
    read: Annotated[
        bool,
        Meta(
            description="Read what replies say: tokens, the model that answers, how streams end, "
            "what kind of failure an error is. Not a byte of a reply is changed by it."
        ),
    ] = True
    verify: Annotated[
        bool,
        Meta(
            description="Try again where a reply in one piece, with status 200, is empty, an "
            "error or no JSON, as far as it is read (256 KiB) and a retry or fallback may follow."
        ),
    ] = True
    gate: Annotated[
        Gate | None,
        Meta(
            description="Hold streams back until their first content, where they are read and a "
            "retry, a hedge or a fallback could follow. `null`: never."
        ),
    ] = Gate()
    comments: Annotated[
        Duration | None,
        Meta(
            description="While a stream says nothing, send a comment after each such time, so that "
            "no client or load balancer gives it up. The caller then gets status 200 before an "
            "attempt has succeeded, and later failures in an error event. `null`: none."
        ),
    ] = None
    limits: Annotated[CallLimits, Meta(description="How many calls may come.")] = CallLimits()
    priority: Annotated[
        Priority, Meta(description="Who goes first in an upstream's `admission` queue.")
    ] = "normal"
    balance: Annotated[
        Method | Balance | None,
        Meta(description="How an endpoint is chosen. `null`: as the upstream says."),
    ] = None
    cache_key: Annotated[
        CacheKey,
        Meta(description="Which calls count as the same, for `cache` and `single_flight`."),
    ] = CacheKey()
    cache: Annotated[
        Cache | None,
        Meta(description="Replies are kept for the same calls. `null`: none is."),
    ] = None
    single_flight: Annotated[
        SingleFlight | None,
        Meta(
            description="The same calls at the same time become one upstream call. `null`: none "
            "is shared."
        ),
    ] = None
    batch: Annotated[
        Batch | None,
        Meta(
            description="Calls for embeddings at nearly the same time become one upstream call. "
            "`null`: each is made by itself."
        ),
    ] = None
    prompt_cache: Annotated[
        PromptCache | None,
        Meta(description="Hints for the provider's prompt cache. `null`: none are given."),
    ] = None
    state: Annotated[
        Literal["anywhere", "home"],
        Meta(
            description="Where calls go that ask for what a provider keeps (responses, "
            "conversations, files, batches): to `anywhere` as other calls, or `home` to the "
            "endpoint that made it, and to no other."
        ),
    ] = "anywhere"
    resume: Annotated[
        Resume | None,
        Meta(
            description="Streams of stored responses (`background`) that break are taken up again. "
            "`null`: they are broken for the caller, too."
        ),
    ] = None
    shape: Annotated[
        Shape | None,
        Meta(description="Changes what is asked: bounds, fields, context. `null`: nothing is."),
    ] = None
    redact: Annotated[
        Redact | None,
        Meta(description="Masks secrets and personal data in prompts. `null`: nothing is masked."),
    ] = None
    rules: Annotated[
        tuple[Rule, ...],
        Meta(
            max_length=100,
            description="Answers and refusals without a model, in order; the first rule that "
            "matches a call's last message counts.",
        ),
    ] = ()
