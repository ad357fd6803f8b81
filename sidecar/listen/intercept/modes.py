"""Makes the listeners of the modes that intercept: forward and capture."""

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


class InterceptingListeners:
    """Makes intercepting listeners, which share what they learn of clients and servers."""

    def __init__(self) -> None:
        self._shared = Shared()

    def listener(
        self, config: Config, current: Current, recorder: Recorder, stats: ListenerStats
    ) -> Interceptor:
        """Make the listener for *config*, to be started."""
        kind = Forward if config.mode == "forward" else Capture
        return kind(config, current, recorder, stats, self._shared)
