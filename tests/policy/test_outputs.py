from __future__ import annotations

from sidecar.policy.outputs import Outputs


def test_nine_of_ten_answers_were_not_longer() -> None:
    outputs = Outputs()
    for tokens in range(1, 101):
        outputs.learn("m", tokens)
    assert 80 <= outputs.expected("m") <= 90  # the last eighth may not count yet


def test_one_answer_is_better_than_none() -> None:
    outputs = Outputs()
    before = outputs.expected("m")
    outputs.learn("m", 7)
    assert (before, outputs.expected("m"), outputs.expected("other")) == (512, 7, 512)


def test_models_are_bounded_and_the_one_used_least_recently_goes() -> None:
    outputs = Outputs()
    for number in range(256):
        outputs.learn(str(number), 7)
    outputs.learn("0", 7)
    outputs.learn("new", 7)
    assert len(outputs) == 256
    assert [outputs.expected(model) for model in ("0", "1", "new")] == [7, 512, 7]
