"""The sidecar looks at slow heads and vanished callers once a second: here, more often."""

import pytest

from sidecar.listen import listener


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SWEEP", 0.02)
