"""Numbers that policies and layers keep themselves, as metrics and pages read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.policy.admission import AdmissionSettings
    from sidecar.policy.spending import BudgetSettings


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
