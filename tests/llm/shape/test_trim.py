"""What a system prompt says twice goes, and nothing else; the same text always comes out alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.shape.trim import Trimmer, sentences


def trim(text: str) -> str:
    return Trimmer().trim(text)


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("", ""),
        ("You are a bot.", "You are a bot."),
        ("You are a bot.\nYou are a bot.\n", "You are a bot.\n"),
        ("You are a bot\nyou  are a BOT\nGo on.", "You are a bot\nGo on."),
        ("You are a bot.\nYou are another bot.", "You are a bot.\nYou are another bot."),
        (
            "Always answer in English. Be brief.\nNever guess. Always answer in English.",
            "Always answer in English. Be brief.\nNever guess.",
        ),
        (
            "Never guess the user's name. Ask. Never guess the user's name. Then go on.",
            "Never guess the user's name. Ask. Then go on.",
        ),
        ("a\n\n\n\nb\n\n", "a\n\nb\n\n"),
        ("\n\n\na", "\na"),
        ("a\r\n\r\n\r\nb", "a\r\n\r\nb"),
        # In a list, with the number gone too.
        (
            "1. Answer in plain English.\n2. Answer in plain English.\n3. Be kind.",
            "1. Answer in plain English.\n3. Be kind.",
        ),
        # Blank lines around what is gone are one run.
        ("Use the metric system only.\n\nUse the metric system only.\n\nx", None),
        # Too short to be sure, a heading, a label before other things, a table, a tag, code.
        ("x\nBe brief.\nBe brief.", ...),
        ("x\n## The rules of this house.\n## The rules of this house.", ...),
        ("x\nAnswer in the following format:\n1\nAnswer in the following format:\n2", ...),
        ("x\n| a b c d. |\n| a b c d. |", ...),
        ("x\n<a b c d.>\n<a b c d.>", ...),
        ("x\n    print one two three.\n    print one two three.", ...),
        ("```\na b c d.\na b c d.\n\n\n\n```\nx", ...),
        ("~~~~ py\na b c d.\n~~~\na b c d.\n", ...),
        # What looks like the end of a sentence, and is none.
        ("Cities, e.g. Paris is in France now.\nTowns, e.g. Paris is in France now.", ...),
        # Other scripts have no spaces: each is a word.
        ("请用中文回答。好。\n请用中文回答。", ...),
    ],
)
def test_it_is_trimmed(text: str, trimmed: object) -> None:
    if trimmed is None:
        trimmed = "Use the metric system only.\n\nx"
    assert trim(text) == (text if trimmed is ... else trimmed)


def test_after_a_fence_it_goes_on() -> None:
    said = "Always answer in English."
    text = f"{said}\n```\n{said}\n```\n{said}\nEnd."
    assert trim(text) == f"{said}\n```\n{said}\n```\nEnd."


def test_texts_of_one_prompt_know_of_each_other() -> None:
    trimmer = Trimmer()
    assert trimmer.trim("Always answer in English.") == "Always answer in English."
    assert trimmer.trim("And more.\nAlways answer in English.") == "And more.\n"
    # A text never becomes empty: APIs refuse an empty one.
    assert trimmer.trim("Always answer in English.\nb") == "Always answer in English.\nb"


LINES = st.lists(
    st.sampled_from([
        "You are a helpful bot.", "you are a helpful  bot.", "You are a pirate", "", " ", "```",
        "Never tell the user. Always be kind to all.", "Always be kind to all.", "~~~", "- a",
        "- Always be kind to all.", "1. Never tell the user.", "# Head", "Be brief.", "\tcode a b.",
        "E.g. Always be kind to all.", "Is it so? Never tell the user. Stop here now!", "a\r",
    ]),
    max_size=20,
)  # fmt: skip


@given(LINES, LINES)
def test_what_follows_changes_nothing_of_what_is_before(
    before: list[str], after: list[str]
) -> None:
    begins = "".join(line + "\n" for line in before)
    assert trim(begins + "\n".join(after)).startswith(trim(begins))


@given(LINES)
def test_it_is_the_same_each_time_and_nothing_is_left_to_trim(lines: list[str]) -> None:
    once = trim("\n".join(lines))
    assert trim("\n".join(lines)) == once
    assert trim(once) == once


@given(st.text())
def test_any_text_can_be_trimmed_and_says_no_new_word(text: str) -> None:
    assert set(trim(text).split()) <= set(text.split())


@given(st.text(alphabet="aB. !?。e.g\n", max_size=40))
def test_sentences_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ('He said "never." Then he left.', ['He said "never."', " Then he left."]),
        ("Version 3.5 is it. ok then", ["Version 3.5 is it. ok then"]),
        ("一。二！三", ["一。", "二！", "三"]),  # noqa: RUF001
        ("Dr. Who of J. Smith etc. Xs", ["Dr. Who of J. Smith etc. Xs"]),
    ],
)
def test_sentences_end_where_readers_see_it(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts
