"""What may be spent, and where it is written down."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Section
from sidecar.config.model.units import Share

Money = Annotated[float, Meta(ge=0.000001, le=1_000_000_000)]
Count = Annotated[int, Meta(ge=1, le=10**15)]


class SpendLimit(Section, frozen=True):
    """What may be spent in an hour, a day or a month, in UTC."""

    per: Annotated[
        Literal["hour", "day", "month"], Meta(description="The period: of the clock, in UTC.")
    ]
    money: Annotated[
        Money | None,
        Meta(description="In the currency of `prices`; or `tokens`."),
    ] = None
    tokens: Annotated[
        Count | None,
        Meta(description="Input and output tokens together; or `money`."),
    ] = None
    route: Annotated[
        str | None, Meta(description="Name of the route whose calls count. `null`: all calls.")
    ] = None
    model: Annotated[
        str | None,
        Meta(
            description="Models that count, as a glob (`*` and `?`) of the name that the upstream "
            "is asked for. `null`: all."
        ),
    ] = None
    header: Annotated[
        str | None,
        Meta(
            description="Name of a header, as `x-team`: each of its values has this budget by "
            "itself. `null`: all calls share it."
        ),
    ] = None
    each_caller: Annotated[
        bool,
        Meta(
            description="Each caller that is known (`access` of a listener) has this budget by "
            "itself; those that are not share it."
        ),
    ] = False
    warn_at: Annotated[
        Share, Meta(description="The log warns once a period when so much is spent.")
    ] = Share("80%")
    when_spent: Annotated[
        Literal["refuse", "fallback", "count"],
        Meta(
            description="A call that finds it spent gets 429; or goes to the route's next "
            "`fallback`, and gets 429 if none is left; or is only counted."
        ),
    ] = "refuse"
    redis: Annotated[
        bool,
        Meta(
            description="All sidecars that use the same `store.redis` spend it together; else each "
            "ledger by itself."
        ),
    ] = False


class Budgets(Section, frozen=True):
    """Budgets, by name. A call counts in each that fits."""

    ledger: Annotated[
        str | None,
        Meta(
            description="SQLite file with what was spent, which several sidecars of one machine "
            "may share. Needed where there are `limits`."
        ),
    ] = None
    limits: Annotated[dict[Name, SpendLimit], Meta(max_length=100, description="The budgets.")] = {}
    max_clients: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Values of `header`, or callers, that are told apart in a period; later "
            "ones share one budget, as `(others)`.",
        ),
    ] = 1000
