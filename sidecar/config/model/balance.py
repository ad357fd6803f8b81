"""How an endpoint is chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Duration, Share, Size
from sidecar.policy.balance import BalanceSettings

Method = Literal["round_robin", "least_conn", "ip_hash", "dynamic", "prefix"]


class Balance(Section, frozen=True):
    """How an endpoint is chosen. A method's name alone stands for a mapping with that `method`."""

    method: Annotated[
        Method,
        Meta(
            description="`round_robin`: in turn, by weight. `least_conn`: fewest calls in flight. "
            "`dynamic`: lowest latency, errors, and load that the endpoint reports. `ip_hash`: the "
            "same client goes to the same endpoint. `prefix`: the same start of a prompt does, "
            "which finds it in the model's cache."
        ),
    ] = "round_robin"
    hash_on: Annotated[
        Literal["client", "header", "cookie"],
        Meta(description="What `ip_hash` hashes: the client's address, a header or a cookie."),
    ] = "client"
    name: Annotated[str | None, Meta(description="Name of the header or cookie.")] = None
    overload: Annotated[
        Share,
        Meta(
            description="With `ip_hash` and `prefix`: an endpoint that has more than this share of "
            "its fair part of the calls in flight, and more than chance explains, is passed over. "
            "A key that alone makes more calls than this gets less room for chance. "
            "100% to 1000%."
        ),
    ] = Share("125%")
    prefix: Annotated[Size, Meta(description="How much of a prompt's start `prefix` looks at.")] = (
        Size("1KiB")
    )
    slow_start: Annotated[
        Duration,
        Meta(description="A new endpoint gets its full part only after this. `0s`: at once."),
    ] = Duration("0s")
    decay: Annotated[
        Duration,
        Meta(description="`dynamic`: how soon what was measured counts for little (1/e)."),
    ] = Duration("10s")

    def settings(self, stale: float) -> BalanceSettings:
        """Make what a balancer goes by. *stale*: seconds after which a load report is too old."""
        return BalanceSettings(
            method=self.method,
            overload=float(self.overload),
            slow_start=float(self.slow_start),
            decay=float(self.decay),
            stale=stale,
        )
