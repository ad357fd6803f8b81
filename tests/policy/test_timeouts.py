from sidecar.policy.timeouts import Due, Timers, first_byte, within

USUAL = Timers(5.0, None, 120.0, None)


def test_a_stream_begins_sooner_than_a_whole_answer_ends() -> None:
    assert first_byte(USUAL) == 600


def test_what_the_policy_says_holds_for_both() -> None:
    tight = USUAL._replace(first_byte=2.0)
    assert first_byte(tight) == 2


def test_which_timer_ends_first() -> None:
    assert within(5, "connect", None, 100) == Due(5, "connect")
    assert within(5, "connect", 200, 100) == Due(5, "connect")
    assert within(5, "connect", 105, 100) == Due(5, "connect")
    assert within(5, "connect", 103, 100) == Due(3, "total")
    assert within(5, "connect", 90, 100) == Due(0, "total")
