"""A loop that goes on, and one that does not."""

from __future__ import annotations

import threading

import pytest

from sidecar.control import pulse
from sidecar.control.pulse import Pulse
from tests.sockets.peers import until


async def test_it_beats_while_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.005)
    it = Pulse()
    began = it._last
    await until(lambda: it._last > began, "a beat")


async def test_it_is_still_while_something_holds_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.001)
    it = Pulse()
    seen: list[float] = []
    watching = threading.Timer(0.05, lambda: seen.append(it.still()))
    watching.start()
    watching.join()  # meanwhile the loop does nothing
    assert seen[0] >= 0.05
    await until(lambda: it.still() < 0.05, "another beat")
