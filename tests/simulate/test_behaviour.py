import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.simulate.behaviour import Behaviour, describe_settings
from sidecar.simulate.latency import Latency

seconds = st.integers(0, 10**9).map(lambda microseconds: microseconds / 10**6)
share = st.floats(0, 0.1)
latencies = st.one_of(
    st.builds(Latency, st.just("constant"), seconds),
    st.builds(Latency, st.just("normal"), seconds, seconds),
    st.builds(Latency, st.just("lognormal"), seconds.filter(bool), st.floats(0, 10)),
    st.tuples(seconds, seconds).map(lambda pair: Latency("uniform", min(pair), max(pair))),
)
windows = st.lists(seconds, max_size=6, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)
behaviours = st.builds(
    Behaviour,
    latency=latencies,
    tokens_per_second=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    tokens=st.integers(1, 4096),
    slots=st.integers(0, 100),
    error=st.lists(st.tuples(st.integers(400, 599), share), max_size=3).map(tuple),
    retry_after=seconds,
    reset=share,
    hang=share,
    truncate=share,
    reset_midway=share,
    stall=share,
    slow_bytes=share,
    head_first=st.booleans(),
    late=share,
    late_by=seconds,
    error_first=share,
    empty=share,
    down=windows,
    model=st.from_regex(r"[a-z][a-z0-9./=-]{0,20}", fullmatch=True),
    seed=st.integers(0, 2**64),
)


@given(behaviours)
def test_the_text_form_says_it_all(behaviour: Behaviour) -> None:
    assert Behaviour.parse(str(behaviour)) == behaviour


def test_reads_every_kind_of_setting() -> None:
    assert Behaviour.parse(
        "latency=lognormal:250ms:0.6, tokens_per_second=50,error=500:5%,error=429:0.02,"
        "head_first=yes,late=3%,late_by=2s,reset=0.01,retry_after=1500ms,down=10s:15s,down=1m:2m,slots=4,model=glm-4=x,seed=7"
    ) == Behaviour(
        latency=Latency("lognormal", 0.25, 0.6),
        tokens_per_second=50.0,
        error=((500, 0.05), (429, 0.02)),
        head_first=True,
        late=0.03,
        late_by=2.0,
        reset=0.01,
        retry_after=1.5,
        down=((10.0, 15.0), (60.0, 120.0)),
        slots=4,
        model="glm-4=x",
        seed=7,
    )


@pytest.mark.parametrize("text", ["", " , "])
def test_nothing_said_is_the_default(text: str) -> None:
    assert Behaviour.parse(text) == Behaviour()
    assert str(Behaviour()) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latencey=1s", "did you mean latency"),
        ("colour=red", "one of latency, tokens_per_second"),
        ("reset", "unknown setting 'reset'"),
        ("reset=1%,reset=2%", "reset is given twice"),
        ("reset=2", "reset: expected a probability"),
        ("reset=nan", "reset: expected a probability"),
        ("reset=60%,hang=60%", "add up to more than 1"),
        ("error=500:60%,error=503:60%", "add up to more than 1"),
        ("error=200:5%", "between 400 and 599"),
        ("error=5xx:5%", "error: expected STATUS:PROBABILITY"),
        ("error=500", "error: expected a probability"),
        ("latency=1", "latency: expected a duration"),
        ("latency=normal:1s", "latency: expected 250ms, uniform"),
        ("latency=uniform:2s:1s", "the low bound first"),
        ("latency=lognormal:0s:1", "above zero"),
        ("latency=lognormal:1s:inf", "expected a sigma"),
        ("latency=2h", "between 0s and 1h"),
        ("slots=-1", "slots: expected a whole number"),
        ("seed=x", "seed: expected a whole number"),
        ("tokens=0", "tokens lies between"),
        ("tokens=4097", "tokens lies between"),
        ("tokens_per_second=fast", "tokens_per_second: expected a number"),
        ("tokens_per_second=nan", "tokens_per_second lies between"),
        ("jitter=2", "jitter: expected a probability"),
        ("down=15s:10s", "the earlier first"),
        ("down=1s:3s,down=2s:4s", "the earlier first"),
        ("down=1s", "down: expected a duration"),
        ("model=", "a name without commas"),
    ],
)
def test_refuses_and_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Behaviour.parse(text)


def test_every_setting_is_described() -> None:
    described = describe_settings()
    assert all(f"  {name} " in described for name in Behaviour.__slots__)
