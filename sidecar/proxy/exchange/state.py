"""The states of an exchange."""

from __future__ import annotations

from typing import Final

from sidecar.http.states import State, moves


class ExchangeState(State):
    """The state of one request and its reply."""

    SENDING = "the request is being sent, and nothing of the reply is here"
    WAITING = "all of the request was sent; the reply's head is to come"
    EARLY = "the reply has begun while the request is still being sent"
    RECEIVING = "the request was sent, and the reply has begun"
    FINISHING = "the reply is whole, and the request is still being sent"
    TUNNEL = "the protocol was switched: bytes flow both ways"
    SETTLED = "over: the connection is back in its pool, or closed"


moves(
    {
        ExchangeState.SENDING: (
            ExchangeState.WAITING,
            ExchangeState.EARLY,
            ExchangeState.SETTLED,
        ),
        ExchangeState.WAITING: (ExchangeState.RECEIVING, ExchangeState.SETTLED),
        ExchangeState.EARLY: (
            ExchangeState.RECEIVING,
            ExchangeState.FINISHING,
            ExchangeState.SETTLED,
        ),
        ExchangeState.RECEIVING: (ExchangeState.TUNNEL, ExchangeState.SETTLED),
        ExchangeState.FINISHING: (ExchangeState.SETTLED,),
        ExchangeState.TUNNEL: (ExchangeState.SETTLED,),
        ExchangeState.SETTLED: (),
    }
)

SENDING: Final = ExchangeState.SENDING
WAITING: Final = ExchangeState.WAITING
EARLY: Final = ExchangeState.EARLY
RECEIVING: Final = ExchangeState.RECEIVING
FINISHING: Final = ExchangeState.FINISHING
TUNNEL: Final = ExchangeState.TUNNEL
SETTLED: Final = ExchangeState.SETTLED

NO_REPLY: Final = (SENDING, WAITING)
"""States before the reply's head."""
UNSENT: Final = (SENDING, EARLY, FINISHING)
"""States with a part of the request still to send."""
