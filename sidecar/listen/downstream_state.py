"""What a connection of the application's does now."""

from __future__ import annotations

from typing import Final

from sidecar.http.states import State, moves


class DownstreamState(State):
    """Between accepting a connection and its end."""

    IDLE = "no call is served; a request may be on its way"
    BODY = "a call is served whose request is still coming"
    CALL = "a call is served whose request is here"
    REFUSED = "bytes came that can't be forwarded: a call under way is the last"
    CLOSING = "our side is closed, or about to be; what still comes is dropped"
    CLOSED = "over"


moves(
    {
        DownstreamState.IDLE: (
            DownstreamState.BODY,
            DownstreamState.CALL,
            DownstreamState.REFUSED,
            DownstreamState.CLOSING,
            DownstreamState.CLOSED,
        ),
        DownstreamState.BODY: (
            DownstreamState.IDLE,  # a tunnel's call, which never ends its request
            DownstreamState.CALL,
            DownstreamState.REFUSED,
            DownstreamState.CLOSING,
            DownstreamState.CLOSED,
        ),
        DownstreamState.CALL: (
            DownstreamState.IDLE,
            DownstreamState.CLOSING,
            DownstreamState.CLOSED,
        ),
        DownstreamState.REFUSED: (DownstreamState.CLOSING, DownstreamState.CLOSED),
        DownstreamState.CLOSING: (DownstreamState.CLOSED,),
        DownstreamState.CLOSED: (),
    }
)

IDLE: Final = DownstreamState.IDLE
BODY: Final = DownstreamState.BODY
CALL: Final = DownstreamState.CALL
REFUSED: Final = DownstreamState.REFUSED
CLOSING: Final = DownstreamState.CLOSING
CLOSED: Final = DownstreamState.CLOSED

OVER: Final = (CLOSING, CLOSED)
DEAF: Final = (REFUSED, CLOSING, CLOSED)
"""Nothing that comes is parsed any more."""
