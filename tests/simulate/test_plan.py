from collections import Counter

from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.plan import Plan, draw_plan

FAULTY = Behaviour.parse(
    "latency=lognormal:250ms:0.6,error=500:10%,error=429:5%,reset=5%,hang=5%,truncate=5%,"
    "reset_midway=5%,stall=5%,slow_bytes=5%,late=2%,error_first=2%,empty=1%,seed=7"
)


def plans(behaviour: Behaviour, endpoint: int = 0, count: int = 10_000) -> list[Plan]:
    return [draw_plan(behaviour, endpoint, call) for call in range(count)]


def fates(behaviour: Behaviour, endpoint: int = 0) -> list[tuple[str, float, float]]:
    return [(p.fault, p.cut, p.latency) for p in plans(behaviour, endpoint, 100)]


def test_faults_come_as_often_as_asked() -> None:
    counts = Counter(plan.fault for plan in plans(FAULTY))
    shares = {**dict(FAULTY.faults()), "": 0.5}
    expected = {name: share * 10_000 for name, share in shares.items()}
    # 31.3 is the 99.9th percentile of chi-square with eleven degrees of freedom.
    assert counts.keys() == expected.keys()
    assert sum((counts[name] - n) ** 2 / n for name, n in expected.items()) < 31.3


def test_cuts_fall_anywhere() -> None:
    tenths = Counter(int(plan.cut * 10) for plan in plans(FAULTY))
    assert sorted(tenths) == list(range(10))
    # 27.9 is the 99.9th percentile of chi-square with nine degrees of freedom.
    assert sum((count - 1000) ** 2 / 1000 for count in tenths.values()) < 27.9


def test_a_seed_repeats_its_sequence() -> None:
    assert fates(FAULTY) == fates(Behaviour.parse(str(FAULTY)))


def test_another_seed_and_another_endpoint_have_another_sequence() -> None:
    reseeded = Behaviour.parse(str(FAULTY).replace("seed=7", "seed=8"))
    sequences = {tuple(fates(FAULTY)), tuple(fates(FAULTY, 1)), tuple(fates(reseeded))}
    assert len(sequences) == 3


def test_faults_do_not_depend_on_the_latency() -> None:
    quick = Behaviour.parse(str(FAULTY).replace("lognormal:250ms:0.6", "5ms"))
    assert [f[:2] for f in fates(FAULTY)] == [f[:2] for f in fates(quick)]


def test_a_certain_fault_always_comes_and_an_absent_one_never() -> None:
    assert {plan.fault for plan in plans(Behaviour(reset=1.0), count=1000)} == {"reset"}
    assert {plan.fault for plan in plans(Behaviour(), count=1000)} == {""}
