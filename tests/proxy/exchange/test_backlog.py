"""What is asked of a connection that was lost a moment ago."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from sidecar.listen.downstream import DownstreamConnection
from sidecar.listen.downstream_state import DownstreamState
from sidecar.proxy.exchange.backlog import unsent
from sidecar.upstream.connect.early_reply import EarlyReply


class Lost(asyncio.Transport):
    """As uvloop's for TLS, between the loss and the step in which its protocol is told."""

    def __init__(self) -> None:
        super().__init__({})


def test_a_lost_connection_has_nothing_unsent() -> None:
    assert unsent(Lost()) == 0


def test_a_lost_connection_has_no_last_words() -> None:
    with pytest.raises(OSError, match="not connected"):
        EarlyReply(Lost())


def test_a_lost_connection_is_not_looked_at() -> None:
    connection = DownstreamConnection.__new__(DownstreamConnection)
    connection.transport = Lost()
    connection._blocks = 1
    connection.state = DownstreamState.CALL
    connection.check_gone()


def test_what_was_not_read_is_unsent() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.send(b"12345")

        class Open(asyncio.Transport):
            def get_write_buffer_size(self) -> int:
                return 2

        assert unsent(Open({"socket": cast(Any, near)})) > 2
