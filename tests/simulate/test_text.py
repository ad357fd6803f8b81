from sidecar.simulate.behaviour import MAX_TOKENS
from sidecar.simulate.text import count_tokens, flatten, identify, say


def test_echoes_round_and_round() -> None:
    assert say("hi there", 6) == ["You ", "said: ", "hi ", "there ", "You ", "said: "]


def test_long_words_are_several_tokens() -> None:
    assert say("x" * 30, 5) == ["You ", "said: ", "x" * 12 + " ", "x" * 12 + " ", "xxxxxx "]


def test_says_something_about_nothing_and_never_too_much() -> None:
    assert say("", 3) == ["You ", "said: ", "You "]
    assert len(say("a b", 10**9)) == MAX_TOKENS


def test_counts_a_token_for_four_characters() -> None:
    assert [count_tokens(text) for text in ("", "abc", "x" * 40)] == [1, 1, 10]


def test_flattens_parts_and_ignores_what_is_no_text() -> None:
    assert flatten("plain") == "plain"
    assert flatten([{"type": "text", "text": "a"}, {"type": "image"}, "b", 3]) == "a  b "
    assert flatten([{"text": 5}]) == flatten(None) == ""


def test_an_id_is_a_function_of_the_request() -> None:
    assert identify(b"a", "x-") == identify(b"a", "x-") != identify(b"b", "x-")
    assert identify(b"a", "x-").startswith("x-")
