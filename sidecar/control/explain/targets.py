"""The upstreams that a route may send a call to: share, model, key, policy and endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from sidecar.config.model import Credentials
from sidecar.control.explain.plain import shown
from sidecar.control.live.view import Clock, state_of
from sidecar.http.keys import keys_among
from sidecar.policy.key_pool import ending
from sidecar.proxy.routing.shown_keys import sees_keys
from sidecar.proxy.routing.stack import attempts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.model import Config
    from sidecar.config.model import Route as RouteConfig
    from sidecar.config.overlay import Effective
    from sidecar.control.explain.probe import Landed
    from sidecar.observe.stats import Stats
    from sidecar.proxy.call import Call
    from sidecar.upstream.load_balancer import LoadBalancer

Role = Literal["upstream", "split", "fallback", "mirror"]


class KeySeen(msgspec.Struct, frozen=True):
    """A key with which a call is sent. Of the key itself only the end is shown."""

    whose: Literal["sidecar", "caller"]
    header: str
    ends: str | None
    """Its last four characters; None where it could not be read, or has too few to show any."""
    name: str | None = None
    """Of one of several keys."""
    state: str | None = None
    """Of one of several keys: `in_use`, `cooling`, `restricted` or `refused`; None without a
    running sidecar."""


class EndpointSeen(msgspec.Struct, frozen=True):
    """A server that may get the call. What only a running sidecar knows is None without one."""

    name: str
    weight: float
    labels: Mapping[str, str]
    state: str | None = None
    """See `State` of the live page; `in_use` where nothing keeps calls off."""
    reason: str | None = None
    until: int | None = None
    """Unix second at which that ends by itself, where it is known."""
    in_rotation: bool | None = None
    """Whether this call may be sent there."""
    in_flight: int | None = None
    latency_ms: float | None = None
    """The average to the first byte; 0: none was measured."""


class TargetSeen(msgspec.Struct, frozen=True):
    """One upstream, and what becomes of the call there."""

    role: Role
    upstream: str
    share: float
    """Of the calls that get this far: of a `split`, or of copies for a `mirror`."""
    dialect: str
    model: str | None
    """What is asked for as `model`; None: the call names none."""
    keys: list[KeySeen]
    balance: str
    """How an endpoint is chosen."""
    panic: bool
    """Whether every endpoint is out, so that all are tried."""
    endpoints: list[EndpointSeen]
    policy: dict[str, object]


class Way(NamedTuple):
    """An upstream of a route, as it is configured."""

    role: Role
    upstream: str
    model: str | None
    share: float


class Targets(NamedTuple):
    """What the upstreams of a route are told by."""

    config: Config
    route: RouteConfig
    effective: Callable[[str], Effective]
    """Returns the policy in force at an upstream."""
    stats: Stats | None
    """None: no sidecar runs, so no state is known."""

    def seen(self, call: Call, landed: Landed) -> list[TargetSeen]:
        """Tell of each upstream that *call* may be sent to, in the order in which they are tried.

        Of a running sidecar: on the data plane's loop.
        """
        attempts = attempts_of(landed.route.stack)
        return [
            self._target(way, call, landed, attempt.balancer_of(landed.request))
            for way, attempt in zip(self._ways(), attempts, strict=True)
        ]

    def _ways(self) -> Iterator[Way]:
        """In the order in which `stack.build` makes them."""
        route = self.route
        split = sum(float(each.share) for each in route.split)
        yield Way("upstream", route.upstream, route.model, max(0.0, 1.0 - split))
        for each in route.split:
            yield Way("split", each.upstream, each.model, float(each.share))
        for other in route.fallback:
            yield Way("fallback", other.upstream, other.model, 1.0)
        if (mirror := route.mirror) is not None:
            yield Way("mirror", mirror.upstream, mirror.model, float(mirror.share))

    def _target(self, way: Way, call: Call, landed: Landed, balancer: LoadBalancer) -> TargetSeen:
        config = self.config.upstreams[way.upstream]
        policy = self.effective(way.upstream).policy
        endpoints = self._endpoints(way.upstream, landed, balancer)
        named = landed.request.model
        return TargetSeen(
            way.role,
            way.upstream,
            round(way.share, 6),
            config.dialect,
            named if named is None or way.model is None else way.model,
            list(self._keys(way.upstream, call)),
            config.balance_under(policy).method,
            balancer.panic,
            endpoints,
            shown(policy),
        )

    def _keys(self, name: str, call: Call) -> Iterator[KeySeen]:
        config = self.config.upstreams[name]
        said = config.credentials
        replaced: set[bytes] = set()
        if isinstance(said, Credentials):
            replaced.add(said.header.lower().encode())
            yield KeySeen("sidecar", said.header, _end(said.value))
        elif isinstance(said, tuple):
            states = self._key_states(name)
            for number, key in enumerate(said, 1):
                replaced.add(key.header.lower().encode())
                named = key.name or f"key-{number}"
                yield KeySeen("sidecar", key.header, _end(key.value), named, states.get(named))
        if not sees_keys(config, own=name == self.route.upstream):
            return
        fields = call.head.fields
        for header in sorted(keys_among(fields) - replaced - {*call.local_keys}):
            value = fields[header].decode("latin-1")
            yield KeySeen("caller", header.decode("latin-1"), _end(value))

    def _key_states(self, name: str) -> dict[str, str]:
        of = None if self.stats is None else self.stats.upstreams.get(name)
        if of is None or of.keys is None:
            return {}
        now = time.monotonic()
        return {key.name: key.state(now) for key in of.keys.keys}

    def _endpoints(self, name: str, landed: Landed, balancer: LoadBalancer) -> list[EndpointSeen]:
        entries = self.config.upstreams[name].endpoints
        upstream = balancer.upstream
        if self.stats is None or upstream.templated:
            filled = partial(_filled, captured=dict(landed.request.captured))
            return [
                EndpointSeen(filled(each.url or each.dns or ""), each.weight, each.labels)
                for each in entries
            ]
        clock, scope = Clock.now(), balancer.selection.scope
        among = balancer.in_rotation()
        return [
            EndpointSeen(
                each.name,
                each.load.weight,
                each.labels,
                *state_of(each, clock, scope),
                each in among,
                each.load.in_flight,
                round(each.load.latency * 1e3, 3),
            )
            for each in upstream.endpoints()
        ]


def _filled(url: str, captured: dict[str, str]) -> str:
    """Return *url* with what the route's match has captured."""
    try:
        return url.format_map(captured)
    except (KeyError, ValueError):
        return url


def _end(value: str) -> str | None:
    end = ending(value)
    return None if end == "…" else end
