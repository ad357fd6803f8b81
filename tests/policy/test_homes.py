"""Where kept things are."""

from __future__ import annotations

from sidecar.policy.homes import Home, Homes

A, B = Home("u", "http://a"), Home("u", "http://b")


def test_the_first_to_tell_an_id_made_it() -> None:
    homes = Homes()
    homes.learn("resp_1", A)
    homes.learn("resp_1", B)
    assert homes.of("resp_1") == A
    homes.move("resp_1", B)
    assert homes.of("resp_1") == B
    homes.forget("resp_1")
    assert homes.of("resp_1") is None


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    homes = Homes(memory=10_000)
    for number in range(20):
        homes.learn(f"resp_{number}", A)
    for number in range(20, 40):
        homes.learn("resp_0", B)  # which counts as a use
        homes.learn(f"resp_{number}", B)
    assert homes.of("resp_0") == A
    assert homes.of("resp_1") is None
    assert homes.of("resp_39") == B
    assert len(homes) <= 10_000 // 320
