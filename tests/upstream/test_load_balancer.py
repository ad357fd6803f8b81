"""Who is picked, of real endpoints that nobody connects to."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from sidecar.errors import AttemptError
from sidecar.http.fields import Fields
from sidecar.http.headers import REPLY_FIELDS
from sidecar.http.message import ResponseHead
from sidecar.observe.stats import Stats, UpstreamStats
from sidecar.policy.balance import BalanceSettings, stable_hash
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.ejection import EjectionSettings
from sidecar.policy.homes import Stays
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.endpoints.overrides import MAX_OVERRIDES, Override, Overrides
from sidecar.upstream.endpoints.registry import Registry
from sidecar.upstream.lease import Lease
from sidecar.upstream.load_balancer import LoadBalancer, Selection
from tests.upstream.endpoints.test_registry import configs

BREAKER = BreakerSettings(0.5, 0.8, None, 2, 30.0, 10, 1.0, 60.0, 0.0, 2)
A, B, C = "http://a", "http://b", "http://c"


class Clock:
    """The monotonic clock of a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


class Fleet:
    """Endpoints `a`, `b`, ... of one upstream, with a balancer over them."""

    def __init__(self, *endpoints: dict[str, Any] | str, **selection: Any) -> None:
        self.registry = Registry(Stats(0.0))
        self.stats = UpstreamStats()
        self.serve(*endpoints)
        self.balancer = self.rotating(**selection)

    def serve(self, *endpoints: dict[str, Any] | str) -> None:
        entries = [{"url": each} if isinstance(each, str) else each for each in endpoints]
        wanted = configs(u={"endpoints": entries})
        binding = self.registry.bind(wanted, self.registry.secure(wanted))
        self.registry.commit(binding)
        self.upstream = binding.upstreams["u"]

    def rotating(
        self,
        breaker: BreakerSettings | None = BREAKER,
        max_ejected: float | None = None,
        panic: bool = True,
        method: str = "round_robin",
        labels: dict[str, str] | None = None,
        missing_is_any: bool = False,
        scope: str = "default",
    ) -> LoadBalancer:
        ejection = EjectionSettings(max_ejected, panic)
        balance = BalanceSettings(method)
        selection = Selection(scope, breaker, ejection, balance, labels or {}, missing_is_any)
        return LoadBalancer(self.upstream, selection, self.stats)

    def endpoint(self, name: str) -> Endpoint:
        return next(each for each in self.upstream.endpoints() if each.name == name)

    def say(self, name: str, **override: Any) -> None:
        self.registry.override("u", name, Override(**override))

    def hold(self, name: str) -> Lease:
        """A place at this one, whoever else is asked before."""
        for _ in range(20):
            lease = self.balancer.pick()
            if lease.endpoint.name == name:
                return lease
            lease.release()
        raise AssertionError(f"{name} is not picked")

    def fail(self, *names: str) -> None:
        """Have their breakers open: two of two failures."""
        for name in names:
            for lease in [self.hold(name) for _ in range(2)]:
                lease.report(True, time.monotonic())
                lease.release()

    def picked(
        self, balancer: LoadBalancer | None = None, picks: int = 12, **asked: Any
    ) -> set[str]:
        return set(counts(balancer or self.balancer, picks, **asked))

    def ejected(self) -> list[str]:
        return self.stats.ejected["default"]


def counts(balancer: LoadBalancer, picks: int, **asked: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(picks):
        lease = balancer.pick(**asked)
        lease.release()
        found[lease.endpoint.name] += 1
    return found


def refusal(balancer: LoadBalancer) -> tuple[str, int, str]:
    with pytest.raises(AttemptError) as caught:
        balancer.pick()
    return caught.value.code, caught.value.status, caught.value.message


# -- who is out --


async def test_all_in_turn(clock: Clock) -> None:
    assert counts(Fleet(A, B, C).balancer, 12) == {A: 4, B: 4, C: 4}


@pytest.mark.parametrize("urls", [(A, B), ("http://{name}-a", "http://{name}-b")])
async def test_a_retry_does_not_keep_time_with_the_turns(urls: tuple[str, str]) -> None:
    """Each call's first attempt fails and is followed by one elsewhere."""
    balancer, firsts = Fleet(*urls).balancer, set()
    for _ in range(4):
        first = balancer.pick(captured={"name": "x"})
        second = balancer.pick(avoid=(first.endpoint.load,), captured={"name": "x"})
        assert first.endpoint is not second.endpoint
        firsts.add(first.endpoint.name)
    assert len(firsts) == 2


async def test_an_open_breaker_ejects(clock: Clock) -> None:
    fleet = Fleet(A, B, C)
    fleet.fail(B)
    assert fleet.picked() == {A, C}
    assert fleet.ejected() == [B]
    assert not fleet.balancer.panic
    fleet.fail(C)
    assert fleet.picked() == {A}
    assert fleet.ejected() == [B, C]


async def test_breakers_of_another_scope_are_no_matter(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(B)
    assert fleet.picked(fleet.rotating(scope="route:r")) == {A, B}
    assert fleet.picked(fleet.rotating(breaker=None)) == {A, B}
    assert fleet.picked() == {A}


async def test_health_ejects_and_brings_back(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.picked()
    fleet.endpoint(A).set_health(False)
    assert fleet.picked() == {B}
    assert fleet.ejected() == [A]
    clock.now += 1e6  # time alone does not bring it back
    assert fleet.picked() == {B}
    fleet.endpoint(A).set_health(True)
    assert fleet.picked() == {A, B}
    assert fleet.ejected() == []
    assert fleet.endpoint(A).load.since == clock.now  # it begins slowly


async def test_health_and_breaker_together(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    fleet.endpoint(A).set_health(False)
    clock.now += 1.0
    assert fleet.picked() == {B}  # the breaker's time is over, the probes still fail


@pytest.mark.parametrize(
    ("max_ejected", "expected"), [(None, {C}), (0.7, {C}), (0.5, {B, C}), (0.0, {A, B, C})]
)
async def test_so_many_may_be_ejected(
    clock: Clock, max_ejected: float | None, expected: set[str]
) -> None:
    fleet = Fleet(A, B, C)
    for name in (A, B):  # the latest is spared
        fleet.endpoint(name).set_health(False)
        clock.now += 1.0
    assert fleet.picked(fleet.rotating(max_ejected=max_ejected)) == expected


async def test_when_all_are_out_all_are_tried(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A, B)
    assert fleet.picked() == {A, B}
    assert fleet.balancer.panic
    assert fleet.stats.panic["default"]
    lease = fleet.balancer.pick()
    lease.report(False, clock.now)  # told to nobody: an open breaker gave no leave
    lease.release()
    assert {fleet.endpoint(name).breakers["default"].status for name in (A, B)} == {"open"}
    clock.now += 1.0
    fleet.hold(A)
    fleet.picked()
    assert not fleet.balancer.panic


async def test_without_panic_none_is(clock: Clock) -> None:
    fleet = Fleet(A, B, panic=False)
    fleet.fail(A)
    fleet.endpoint(B).set_health(False)
    assert refusal(fleet.balancer) == (
        "no_healthy_endpoint", 503, "every endpoint of upstream u is out of rotation",
    )  # fmt: skip
    clock.now += 1.0  # a breaker's time ends without anybody's word
    assert fleet.picked() == {A}


# -- who wants no calls now --


def limited(fleet: Fleet, name: str, said: bytes = b"5") -> None:
    """Have it answer a call with 429."""
    lease, head = fleet.hold(name), ResponseHead()
    head.status, head.fields = 429, Fields(b"\r\nRetry-After: " + said, REPLY_FIELDS)
    lease.answered(head, time.monotonic())
    lease.release()


@pytest.mark.parametrize("method", ["round_robin", "least_conn", "dynamic", "ip_hash", "prefix"])
async def test_who_asks_for_peace_gets_it_while_there_are_others(clock: Clock, method: str) -> None:
    fleet = Fleet(A, B, C, method=method)
    every = fleet.endpoint(A).load, fleet.endpoint(B).load, fleet.endpoint(C).load
    keys = [stable_hash(b"%d" % number) for number in range(40)]
    every[0].cool(clock.now + 5.0)
    every[1].cool(clock.now + 3.0)
    assert {fleet.balancer.pick(key).endpoint.name for key in keys} == {C}
    clock.now += 3.0
    assert {fleet.balancer.pick(key).endpoint.name for key in keys} <= {B, C}
    clock.now += 2.0
    for load in every:
        load.in_flight = 0
    assert A in {fleet.balancer.pick(key).endpoint.name for key in keys}


async def test_when_all_ask_for_it_none_gets_it(clock: Clock) -> None:
    fleet = Fleet(A, B)
    limited(fleet, A)
    limited(fleet, B)
    assert fleet.picked() == {A, B}
    assert not fleet.balancer.panic
    assert not fleet.stats.panic["default"]
    assert fleet.ejected() == []


async def test_a_limit_is_no_matter_of_breakers(clock: Clock) -> None:
    fleet = Fleet(A, B)
    for _ in range(50):
        clock.now += 10.0
        limited(fleet, A)
    assert fleet.endpoint(A).breakers["default"].status == "closed"
    assert len(fleet.endpoint(A).breakers["default"].window) == 0


async def test_a_trial_that_meets_a_limit_gives_its_place_back(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    clock.now += 1.0
    for _ in range(5):  # more than there are places for trials
        limited(fleet, A, b"0")
    assert fleet.endpoint(A).breakers["default"].status == "half_open"
    fleet.hold(A).report(False, clock.now)


async def test_what_was_tried_comes_before_who_asks_for_peace(clock: Clock) -> None:
    fleet = Fleet(A, B, C)
    a, b, c = (fleet.endpoint(name).load for name in (A, B, C))
    c.cool(clock.now + 5.0)
    assert fleet.picked(avoid=(a,)) == {B}
    assert fleet.picked(picks=60, avoid=(a, b)) == {A, B}


@pytest.mark.parametrize("urls", [(A, B), ("http://{name}-a", "http://{name}-b")])
async def test_whether_there_is_somebody_else(clock: Clock, urls: tuple[str, str]) -> None:
    balancer, captured = Fleet(*urls).balancer, {"name": "x"}
    one, two = (balancer.pick(captured=captured).endpoint.load for _ in range(2))
    assert balancer.elsewhere((), captured)
    assert balancer.elsewhere((one,), captured)
    assert balancer.elsewhere((one, two), captured)
    two.cool(clock.now + 5.0)
    assert not balancer.elsewhere((one,), captured)
    assert balancer.elsewhere((one, two), captured)
    assert {balancer.pick(captured=captured).endpoint.load for _ in range(4)} == {one}
    clock.now += 5.0
    assert balancer.elsewhere((one,), captured)


async def test_nobody_else_is_there(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(B)
    assert not fleet.balancer.elsewhere((fleet.endpoint(A).load,))


# -- back again --


async def test_tried_again_when_the_breakers_time_is_over(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    clock.now += 0.999
    assert fleet.picked() == {B}
    clock.now += 0.001
    trials = [fleet.hold(A) for _ in range(2)]
    assert fleet.picked() == {B}  # all trials are under way: calls look elsewhere
    for lease in trials:
        lease.report(False, clock.now)
        lease.release()
    assert fleet.endpoint(A).breakers["default"].status == "closed"
    assert fleet.picked() == {A, B}


async def test_the_earliest_of_several_is_waited_for(clock: Clock) -> None:
    fleet = Fleet(A, B, C)
    fleet.fail(A)
    clock.now += 0.5
    fleet.fail(B)
    clock.now += 0.5
    assert fleet.picked() == {A, C}
    clock.now += 0.5
    assert fleet.picked() == {A, B, C}


async def test_a_cancelled_trial_gives_its_place_back(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    clock.now += 1.0
    lease = [fleet.hold(A) for _ in range(2)]
    assert fleet.picked() == {B}
    lease[0].release()
    lease[0].release()  # once
    fleet.hold(A)
    assert fleet.picked() == {B}


@pytest.mark.parametrize("names", [(A, B), (A, B, C)])
async def test_full_trials_everywhere_still_give_a_place_that_counts(
    clock: Clock, names: tuple[str, ...]
) -> None:
    fleet = Fleet(*names)
    fleet.fail(*names)
    clock.now += 1.0
    for name in names:
        for _ in range(2):
            fleet.hold(name)
    lease = fleet.balancer.pick()
    total = lease.endpoint.load.total
    assert lease.endpoint.load.in_flight == 3
    assert total.in_flight == 2 * len(names) + 1
    lease.release()
    assert total.in_flight == 2 * len(names)


async def test_one_that_was_tried_goes_before_full_trials(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    clock.now += 1.0
    for _ in range(2):
        fleet.hold(A)
    assert fleet.picked(avoid=[fleet.endpoint(B).load]) == {B}


async def test_what_was_tried_is_avoided(clock: Clock) -> None:
    fleet = Fleet(A, B, C)
    loads = {name: fleet.endpoint(name).load for name in (A, B, C)}
    assert fleet.picked(picks=60, avoid=(loads[A],)) == {B, C}
    assert fleet.picked(avoid=(loads[A], loads[C])) == {B}
    assert fleet.picked(picks=60, avoid=tuple(loads.values())) == {A, B, C}
    assert Fleet(A).picked(avoid=(loads[A],)) == {A}


# -- an operator --


@pytest.mark.parametrize("said", [{"drained": True}, {"weight": 0.0}, {"breaker": "open"}])
async def test_never_picked_even_in_panic(clock: Clock, said: dict[str, Any]) -> None:
    fleet = Fleet(A, B, C)
    assert fleet.picked() == {A, B, C}
    fleet.say(A, **said)
    assert fleet.picked() == {B, C}
    fleet.fail(B, C)
    assert fleet.picked() == {B, C}
    assert fleet.balancer.panic
    for name in (B, C):
        fleet.say(name, **said)
    assert refusal(fleet.balancer)[0] == "no_healthy_endpoint"
    fleet.say(A)
    assert fleet.picked() == {A}


async def test_forced_closed_is_never_ejected(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.say(A, breaker="closed")
    fleet.fail(A)
    assert fleet.picked() == {A, B}


async def test_weights_at_run_time(clock: Clock) -> None:
    fleet = Fleet({"url": A, "weight": 3}, B)
    assert abs(counts(fleet.balancer, 40)[A] - 30) <= 1
    fleet.say(B, weight=7.0)
    assert abs(counts(fleet.balancer, 40)[A] - 12) <= 1
    fleet.serve({"url": A, "weight": 3}, B)  # a reload changes nothing of it
    assert abs(counts(fleet.balancer, 40)[A] - 12) <= 1
    fleet.say(B)
    assert abs(counts(fleet.balancer, 40)[A] - 30) <= 1


def test_overrides() -> None:
    said = Overrides()
    said.put("u", A, Override(weight=2.0))
    assert said.get("u", A) == Override(weight=2.0)
    assert said.get("v", A) == said.get("u", B) == Override()
    said.put("u", A, Override())
    assert said.get("u", A) == Override()


def test_overrides_are_bounded() -> None:
    said = Overrides()
    for number in range(MAX_OVERRIDES):
        said.put("u", f"http://{number}", Override(drained=True))
    with pytest.raises(OverflowError):
        said.put("u", A, Override(drained=True))
    said.put("u", "http://0", Override(weight=1.0))  # another word on a known one
    said.put("u", "http://1", Override())
    said.put("u", A, Override(drained=True))


# -- labels --

EAST: dict[str, Any] = {"url": A, "labels": {"zone": "east", "gpu": "a"}}
WEST: dict[str, Any] = {"url": B, "labels": {"zone": "west", "gpu": "a"}}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, {A, B, C}),
        ({"zone": "east"}, {A}),
        ({"gpu": "a"}, {A, B}),
        ({"gpu": "a", "zone": "west"}, {B}),
    ],
)
async def test_labels(clock: Clock, labels: dict[str, str], expected: set[str]) -> None:
    fleet = Fleet(EAST, WEST, C)
    assert fleet.picked(fleet.rotating(labels=labels)) == expected
    assert fleet.picked(fleet.balancer.subset(labels)) == expected
    wanted = fleet.rotating(labels={"gpu": "a"}).subset(labels)
    assert fleet.picked(wanted) == expected - {C}


async def test_labels_that_nobody_has(clock: Clock) -> None:
    fleet = Fleet(EAST, WEST, C)
    labels = {"zone": "east", "gpu": "b"}
    assert refusal(fleet.rotating(labels=labels)) == (
        "no_matching_endpoint", 503, "no endpoint of upstream u has the labels zone=east, gpu=b",
    )  # fmt: skip
    assert fleet.picked(fleet.rotating(labels=labels, missing_is_any=True)) == {A, B, C}
    fleet.say(A, drained=True)  # it has the labels, so that the others won't do
    assert refusal(fleet.rotating(labels={"zone": "east"}, missing_is_any=True))[0] == (
        "no_healthy_endpoint"
    )


async def test_narrowed_rotations_are_kept_but_not_for_ever() -> None:
    balancer = Fleet(EAST, WEST).balancer
    east = balancer.subset({"zone": "east", "gpu": "a"})
    assert balancer.subset({"gpu": "a", "zone": "east"}) is east
    for number in range(1000):
        balancer.subset({"zone": str(number)})
    assert len(balancer._subsets) <= 64


async def test_labels_that_change_are_seen_at_the_next_pick(clock: Clock) -> None:
    fleet = Fleet(EAST, WEST)
    east = fleet.rotating(labels={"zone": "east"})
    assert fleet.picked(east) == {A}
    fleet.serve(EAST, {"url": B, "labels": {"zone": "east"}})
    assert fleet.picked(east) == {A, B}


# -- templates --


async def test_a_template_leads_where_the_call_says(clock: Clock) -> None:
    fleet = Fleet("http://{name}.example")
    assert fleet.picked(captured={"name": "x"}) == {"http://x.example"}
    assert fleet.picked(captured={"name": "y"}) == {"http://y.example"}
    fleet.say("http://x.example", drained=True)
    with pytest.raises(AttemptError) as caught:
        fleet.balancer.pick(captured={"name": "x"})
    assert caught.value.code == "no_healthy_endpoint"
    assert fleet.picked(captured={"name": "y"}) == {"http://y.example"}


async def test_a_template_beside_others(clock: Clock) -> None:
    fleet = Fleet("http://{name}.example", B)
    found = counts(fleet.balancer, 12, captured={"name": "x"})
    assert found == {"http://x.example": 6, B: 6}
    tried = [fleet.endpoint(B).load]
    assert fleet.picked(captured={"name": "x"}, avoid=tried) == {"http://x.example"}


# -- what is lease --


async def test_a_place_counts_until_it_is_released(clock: Clock) -> None:
    fleet = Fleet(A)
    load = fleet.endpoint(A).load
    lease = [fleet.balancer.pick() for _ in range(3)]
    assert (load.in_flight, load.total.in_flight) == (3, 3)
    for each in lease:
        each.release()
        each.release()
    assert (load.in_flight, load.total.in_flight) == (0, 0)


async def test_it_tells_once(clock: Clock) -> None:
    fleet = Fleet(A, B)
    lease = fleet.hold(A)
    clock.now += 0.25
    lease.report(False, clock.now)
    lease.report(True, clock.now + 9)
    lease.release()
    load = fleet.endpoint(A).load
    assert (load.latency, load.errors) == (0.25, 0.0)
    shown = fleet.endpoint(A).breakers["default"].snapshot(clock.now)
    assert (shown["calls"], shown["failure_rate"]) == (1, 0.0)


async def test_what_was_not_told_is_nothing(clock: Clock) -> None:
    fleet = Fleet(A)
    fleet.balancer.pick().release()
    assert fleet.endpoint(A).breakers["default"].snapshot(clock.now)["calls"] == 0
    assert fleet.endpoint(A).load.latency == 0.0


async def test_a_success_that_broke(clock: Clock) -> None:
    """It counts as a failure. How long the stream ran says nothing of the first byte."""
    fleet = Fleet(A)
    lease = fleet.balancer.pick()
    clock.now += 0.25
    lease.report(False, clock.now)
    clock.now += 60.0
    for _ in range(2):
        lease.report_broken(clock.now)
    lease.release()
    load = fleet.endpoint(A).load
    assert (load.latency, load.errors) == (0.25, 0.1)
    window = fleet.endpoint(A).breakers["default"].window
    assert window.failures == 1


@pytest.mark.parametrize("told", [True, None])
async def test_what_failed_or_never_answered_can_not_break(clock: Clock, told: bool | None) -> None:
    fleet = Fleet(A)
    lease = fleet.balancer.pick()
    if told is not None:
        lease.report(told, clock.now)
    lease.report_broken(clock.now)
    lease.release()
    assert fleet.endpoint(A).load.errors == (0.1 if told else 0.0)
    assert fleet.endpoint(A).breakers["default"].window.failures == (1 if told else 0)


async def test_without_a_breaker_loads_are_fed(clock: Clock) -> None:
    fleet = Fleet(A, breaker=None)
    lease = fleet.balancer.pick()
    lease.report(True, clock.now)
    lease.release()
    assert fleet.endpoint(A).load.errors == 0.1
    assert fleet.endpoint(A).breakers == {}


# -- changes --


async def test_members_that_come_and_go_are_seen_at_the_next_pick(clock: Clock) -> None:
    fleet = Fleet(A, B)
    assert fleet.picked() == {A, B}
    fleet.serve(B, C)
    assert fleet.picked() == {A, B}  # a snapshot that serves on keeps to its endpoints
    assert fleet.picked(fleet.rotating()) == {B, C}


async def test_a_pick_between_changes_looks_at_nothing_anew(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.picked()
    ready = fleet.balancer._ready
    fleet.picked()
    assert fleet.balancer._ready is ready
    fleet.endpoint(A).set_health(False)
    fleet.picked()
    assert fleet.balancer._ready is not ready


async def test_breaker_settings_of_a_reload_reach_breakers_that_stay(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.picked()
    patient = BREAKER._replace(min_calls=5)
    fleet.balancer = fleet.rotating(breaker=patient)
    fleet.fail(A)
    assert fleet.endpoint(A).breakers["default"].settings is patient
    assert fleet.picked() == {A, B}


@pytest.mark.parametrize("method", ["least_conn", "dynamic", "ip_hash", "prefix"])
async def test_every_method_keeps_away_from_who_is_out(clock: Clock, method: str) -> None:
    fleet = Fleet(A, B, C, method=method)
    fleet.endpoint(B).set_health(False)
    for key in range(40):
        lease = fleet.balancer.pick(key * 2**58)
        lease.release()
        assert lease.endpoint.name != B


async def test_ids_without_a_home_choose_alike_in_all_sidecars() -> None:
    one, other = Fleet(A, B, C), Fleet(C, A, B)
    other.endpoint(A).set_health(up=False)  # which the other sidecar has not seen
    names = [f"resp_{number}" for number in range(90)]
    chosen = [one.balancer.home(Stays(name, "")).endpoint.name for name in names]
    assert chosen == [other.balancer.home(Stays(name, "")).endpoint.name for name in names]
    assert min(Counter(chosen).values()) > 10


async def test_a_home_is_asked_unless_it_is_gone_or_an_operator_forbids_it() -> None:
    fleet = Fleet(A, B)
    stays = Stays("resp_1", B)
    fleet.endpoint(B).set_health(up=False)
    assert fleet.balancer.home(stays).endpoint.name == B
    fleet.say(B, drained=True)  # which is for calls that can go elsewhere
    assert fleet.balancer.home(stays).endpoint.name == B
    fleet.say(B, breaker="open")
    with pytest.raises(AttemptError) as caught:
        fleet.balancer.home(stays)
    assert caught.value.code == "no_healthy_endpoint"
    fleet.serve(A)
    fleet.balancer = fleet.rotating()
    assert fleet.balancer.home(stays).endpoint.name == A
    assert fleet.rotating(labels={"x": "y"}, missing_is_any=True).home(stays).endpoint.name == A
    with pytest.raises(AttemptError) as caught:
        fleet.rotating(labels={"x": "y"}).home(stays)
    assert caught.value.code == "no_matching_endpoint"
