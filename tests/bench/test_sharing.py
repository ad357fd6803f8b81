from __future__ import annotations

import json
import random
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.quota import jain
from bench.sharing.__main__ import PHASES, RATE, table, wants
from bench.sharing.chart import svg
from bench.sharing.load import Client, Counts
from bench.sharing.server import Book


def result(answered: int, refused: int) -> dict[str, Any]:
    row = {"used": 0.97, "refused": 0.1, "seen": 0.2, "failed": 0.3, "fairness": 0.99}
    phases = [{"phase": phase, **row} for phase in PHASES]
    return {"phases": phases, "seconds": [[answered, refused]] * 10}


def test_a_panel_shows_what_was_answered_and_what_was_refused() -> None:
    fleets = [("apart & alone", result(10, 0)), ("greedy", result(30, 1000))]
    root = ElementTree.fromstring(svg(fleets, 30.0, 5.0, 10.0, PHASES))
    texts = ["".join(text.itertext()) for text in root.findall("{*}text")]
    assert texts[0] == "apart & alone: 97% used, 10% refused, 30% of the calls failed, Jain 0.99"
    colors = [bar.get("fill") for bar in root.findall("{*}rect")][1:]
    assert set(colors[:10]) == {"#15803d"}
    assert set(colors[10:]) == {"#15803d", "#c2410c"}
    assert all(float(bar.get("height", "0").rstrip("%")) <= 100 for bar in root.findall("{*}rect"))


def test_the_table_has_a_line_for_each_phase_of_what_was_measured() -> None:
    lines = table({"tokens alone": result(1, 1)}).splitlines()[2:]
    assert len(lines) == len(PHASES)
    assert lines[0] == "| tokens | steady | alone | 97.0 % | 10.0 % | 20.0 % | 30.0 % | 0.990 |"


@pytest.mark.parametrize("phase", PHASES)
def test_clients_want_more_than_there_is_and_one_may_be_greedy(phase: str) -> None:
    rates = wants(phase, random.Random(1))
    assert sum(rates) >= 1.45 * RATE
    assert (max(rates) > RATE) == (phase == "greedy")


def test_who_gets_all_that_it_asks_for_is_treated_as_fairly_as_who_gets_the_same_as_others() -> (
    None
):
    fair = [Counts(asked=1, got=1), Counts(asked=90, got=10), Counts(asked=50, got=10)]
    assert jain(fair) == pytest.approx(1.0)
    assert jain([Counts(asked=50, got=20), Counts(asked=50, got=0)]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("head", "retry", "least", "most"),
    [
        (b"\r\nretry-after-ms: 250\r\n", 0, 0.25, 0.25),
        (b"\r\nRetry-After: 3\r\n", 1, 3.0, 3.0),
        (b"\r\nretry-after: 90\r\n", 0, 0.375, 0.5),
        (b"\r\n", 1, 0.75, 1.0),
        (b"\r\n", 9, 6.0, 8.0),
    ],
)
def test_clients_wait_as_sdks_do(head: bytes, retry: int, least: float, most: float) -> None:
    assert least <= Client(0, 1)._wait(head, retry) <= most


def test_the_provider_answers_what_its_quota_has_and_tells_the_levels() -> None:
    book = Book(60.0, 1e9, 0.05)
    replies = [book.ask(7)[0] for _ in range(5)]
    assert [reply.split(b" ", 2)[1] for reply in replies] == [b"200"] * 3 + [b"429"] * 2
    assert b"\r\nx-ratelimit-limit-requests: 60\r\n" in replies[0]
    assert b"\r\nx-ratelimit-remaining-requests: 0\r\n" in replies[-1]
    assert b"\r\nretry-after-ms: " in replies[-1]
    assert json.loads(replies[0].partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] > 0
    assert [(client, answered) for _, client, answered, _ in book.asked] == [(7, True)] * 3 + [
        (7, False)
    ] * 2
