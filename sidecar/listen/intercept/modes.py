"""Listeners of the modes that intercept, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.listen.intercept.capture import Capture
from sidecar.listen.intercept.forward import Forward
from sidecar.listen.intercept.interceptor import Interceptor, Shared

if TYPE_CHECKING:
    from sidecar.config.model import Listener as Config
    from sidecar.listen.listener import Current
    from sidecar.observe.stats import ListenerStats
    from sidecar.proxy.recorder import Recorder


class Gates:
    """Makes them."""

    def __init__(self) -> None:
        self._shared = Shared()

    def listener(
        self, config: Config, current: Current, recorder: Recorder, stats: ListenerStats
    ) -> Interceptor:
        """One for *config*, to be started."""
        kind = Forward if config.mode == "forward" else Capture
        return kind(config, current, recorder, stats, self._shared)
