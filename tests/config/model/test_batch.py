"""How long a call waits, as it is written."""

from __future__ import annotations

import pytest

from sidecar.config.model.batch import Batch, Window
from sidecar.policy.batching import BatchSettings


@pytest.mark.parametrize(("text", "seconds"), [("auto", 0.005), ("5ms", 0.005), ("50ms", 0.05)])
def test_windows(text: str, seconds: float) -> None:
    window = Window(text)
    assert (window, window.auto, window.written()) == (seconds, text == "auto", text)


@pytest.mark.parametrize("text", ["", "Auto", "5", "always", 5, None])
def test_what_is_neither(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        Window(text)


def test_settings() -> None:
    assert Batch().settings() == BatchSettings(0.005, False, 100, 100_000, 2**20)
    assert Batch(window=Window("auto")).settings().auto
    assert Batch(headers=("X-Team",)).key_settings().headers == (b"content-type", b"x-team")
    assert not Batch().key_settings().shared
