from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.fair_queue import FairQueue

CLIENTS = st.sampled_from("abcd")


def filled(text: str) -> FairQueue[str]:
    """Of clients that are called by letters."""
    line: FairQueue[str] = FairQueue()
    for number, client in enumerate(text):
        line.add(client, f"{client}{number}")
    return line


def order(line: FairQueue[str]) -> str:
    return "".join(line.pop()[0] for _ in range(len(line)))


def test_in_turn() -> None:
    assert order(filled("aaaabbc")) == "abcabaa"
    assert order(filled("")) == ""
    assert order(filled("aaa")) == "aaa"


def test_each_in_the_order_in_which_it_came() -> None:
    line = filled("aabab")
    assert [line.pop() for _ in range(5)] == ["a0", "b2", "a1", "b4", "a3"]


def test_who_comes_again_has_no_turn_saved_up() -> None:
    line = filled("ab")
    assert line.pop() == "a0"
    line.add("a", "again")
    assert [line.pop(), line.pop()] == ["b1", "again"]


def test_who_leaves_the_middle() -> None:
    line = filled("aab")
    assert line.remove("a", "a0")
    assert not line.remove("a", "a0")
    assert not line.remove("c", "c9")
    assert line.remove("b", "b2")
    assert (len(line), list(line)) == (1, ["a1"])
    assert line.remove("a", "a1")
    assert len(line) == 0
    assert not line._queues


def test_surplus() -> None:
    assert filled("").surplus("a") is None
    assert filled("a").surplus("b") is None  # one for one gains nothing
    assert filled("aa").surplus("b") == "a1"
    assert filled("aab").surplus("b") is None
    assert filled("aaab").surplus("b") == "a2"
    assert filled("aaab").surplus("a") is None
    assert filled("aaabbbbb").surplus("c") == "b7"


@given(st.lists(CLIENTS, max_size=30), CLIENTS)
def test_as_many_go_before_as_is_said_at_most(clients: list[str], client: str) -> None:
    line = filled("".join(clients))
    ahead = line.ahead(client)
    line.add(client, "me")
    gone = 0
    while line.pop() != "me":
        gone += 1
    assert gone <= ahead <= len(clients)


def test_how_many_go_before() -> None:
    assert filled("").ahead("a") == 0
    assert filled("aaa").ahead("a") == 3
    assert filled("aaa").ahead("b") == 1
    assert filled("aaab").ahead("b") == 3
    assert filled("aaab").ahead("c") == 2
    assert filled("abcd").ahead("e") == 4


@given(st.lists(CLIENTS, max_size=30), CLIENTS)
def test_nobody_is_served_twice_while_another_waits(clients: list[str], first: str) -> None:
    served = order(filled("".join(clients)))
    for start in range(len(served)):
        for end in range(start + 1, len(served)):
            if served[start] == served[end]:
                between, rest = set(served[start + 1 : end]), set(served[end:])
                assert rest - {served[start]} <= between
                break


@given(st.lists(CLIENTS, max_size=30), st.integers(1, 6))
def test_room_is_taken_from_who_has_most(clients: list[str], most: int) -> None:
    """However they come, in the end nobody has less than a fair part while another has more."""
    line: FairQueue[str] = FairQueue()
    refused = dict.fromkeys("abcd", 0)
    for number, client in enumerate(clients):
        if len(line) >= most:
            loser = line.surplus(client)
            if loser is None:
                refused[client] += 1
                continue
            assert line.remove(loser[0], loser)
            refused[loser[0]] += 1
        line.add(client, f"{client}{number}")
    has = {client: sum(one[0] == client for one in line) for client in "abcd"}
    assert sum(has.values()) == len(line) <= most
    for client, count in has.items():
        if refused[client]:
            assert count + 1 >= max(has.values()) - 1 or count * len(line._queues) >= len(line)
