"""Who is taken for a client that does not trust the local CA."""

from __future__ import annotations

import ssl
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.listen.intercept.distrust import IN_A_ROW, Client, Distrust, refusal

ONE = Client("127.0.0.1", "llm.test", b"f")
OTHERS = [ONE._replace(peer="127.0.0.2"), ONE._replace(host="x"), ONE._replace(fingerprint=b"g")]


def leaves(distrust: Distrust, times: int, now: float = 0.0, client: Client = ONE) -> list[bool]:
    """One after the other."""
    return [distrust.left(client, now, now, now + 10) for _ in range(times)]


def test_an_alert_is_believed_at_once_and_for_a_while() -> None:
    distrust = Distrust()
    distrust.refused(ONE, 10)
    assert distrust.has(ONE, 9.9)
    assert not any(distrust.has(other, 9.9) for other in OTHERS)
    assert not distrust.has(ONE, 10)


def test_leaving_is_believed_when_it_is_repeated() -> None:
    distrust = Distrust()
    assert leaves(distrust, IN_A_ROW) == [False] * (IN_A_ROW - 1) + [True]
    assert distrust.has(ONE, 9.9)
    assert not any(distrust.has(other, 9.9) for other in OTHERS)
    assert not distrust.has(ONE, 10)
    assert leaves(distrust, 1, 10) == [False]  # it counts anew


def test_others_that_leave_say_nothing_of_it() -> None:
    distrust = Distrust()
    for other in OTHERS:
        assert leaves(distrust, IN_A_ROW - 1, client=other) == [False] * (IN_A_ROW - 1)
    assert leaves(distrust, IN_A_ROW - 1) == [False] * (IN_A_ROW - 1)


def test_long_ago_is_not_in_a_row() -> None:
    distrust = Distrust()
    for now in range(0, 1000, 10):
        assert leaves(distrust, 1, now) == [False]


def test_connections_that_end_together_have_ended_once() -> None:
    distrust = Distrust()
    assert not any(distrust.left(ONE, 0, now, 100) for now in (5, 5, 6, 7))
    assert distrust.left(ONE, 7, 8, 100)


def test_a_client_that_has_called_may_leave_as_often_as_it_likes() -> None:
    distrust = Distrust()
    distrust.called(ONE, 10)
    assert not any(leaves(distrust, 100))
    assert leaves(distrust, IN_A_ROW, 10)[-1]  # nothing was heard of it for too long


def test_a_call_between_begins_the_row_anew() -> None:
    distrust = Distrust()
    leaves(distrust, IN_A_ROW - 1)
    distrust.called(ONE, 0)  # which is not remembered
    assert not any(leaves(distrust, IN_A_ROW - 1))


def test_a_call_takes_back_what_leaving_said_but_no_alert() -> None:
    distrust = Distrust()
    leaves(distrust, IN_A_ROW)
    distrust.called(ONE, 10)
    assert not distrust.has(ONE, 1)
    distrust.refused(ONE, 10)
    distrust.called(ONE, 10)
    assert distrust.has(ONE, 1)


EVENTS = st.tuples(
    st.sampled_from(["called", "refused", "left"]),
    st.integers(0, 3),
    st.integers(0, 8),
    st.integers(0, 8),
)


@given(st.lists(EVENTS))
def test_whom_it_doubts_has_said_so_or_left_again_and_not_called_since(
    events: list[tuple[str, int, int, int]],
) -> None:
    distrust, now = Distrust(), 0
    history: dict[Client, list[tuple[str, int]]] = {client: [] for client in (ONE, *OTHERS)}
    for event, number, later, took in events:
        now += later
        client = [ONE, *OTHERS][number]
        if event == "left":
            distrust.left(client, now - took, now, now + 10)
        elif event == "called":
            distrust.called(client, now + 10)
        else:
            distrust.refused(client, now + 10)
        history[client].append((event, now))
        for each, past in history.items():
            said = any(what == "refused" and now < when + 10 for what, when in past)
            since = [when for what, when in past[last_call(past) :] if what == "left"]
            again = any(b <= a + 10 and now < b + 10 for a, b in pairwise(since))
            doubted = distrust.has(each, now)
            assert doubted or not said
            assert said or again or not doubted


def last_call(past: list[tuple[str, int]]) -> int:
    return max((at for at, (what, _) in enumerate(past) if what == "called"), default=0)


# -- what an end says --


def tls(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    if reason is not None:
        error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (tls("TLSV1_ALERT_UNKNOWN_CA"), "unknown ca"),
        (tls("SSLV3_ALERT_BAD_CERTIFICATE"), "bad certificate"),
        (tls("SSLV3_ALERT_CERTIFICATE_UNKNOWN"), "certificate unknown"),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), "handshake failure"),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), "protocol version"),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "certificate required"),
        (tls("NO_SHARED_CIPHER"), "no shared cipher"),
        (tls("NO_SUITABLE_SIGNATURE_ALGORITHM"), "no suitable signature algorithm"),
        (tls("UNSUPPORTED_PROTOCOL"), "unsupported protocol"),
        (tls("TLSV1_ALERT_USER_CANCELLED"), None),
        (tls("TLSV1_ALERT_INTERNAL_ERROR"), None),
        (tls("UNEXPECTED_EOF_WHILE_READING"), None),
        (tls("BAD_RECORD_TYPE"), None),
        (tls(None), None),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), None),
        (ConnectionResetError(104, "reset"), None),
        (OSError("TLSV1_ALERT_UNKNOWN_CA"), None),
        (None, None),
    ],
)
def test_what_an_end_says(error: BaseException | None, says: str | None) -> None:
    assert refusal(error) == says
