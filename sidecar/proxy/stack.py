"""The list that says what can happen to a call, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.proxy.layers.attempt import Attempt
from sidecar.proxy.layers.credentials import Credentials
from sidecar.proxy.layers.replay import Replay

if TYPE_CHECKING:
    from sidecar.config.model import Upstream as UpstreamConfig
    from sidecar.policy.timeouts import Timers
    from sidecar.proxy.layer import Layer
    from sidecar.upstream.upstream import Upstream


def build(upstream: Upstream, config: UpstreamConfig, timers: Timers) -> Layer:
    """The stack of a route, from the inside out. A policy that is absent is no layer at all."""
    # An endpoint is picked, connected to and asked: everything else is about when, and how often.
    stack: Layer = Attempt(upstream, timers)
    # Right around the attempt: a dead pooled connection is no failure of the endpoint's.
    stack = Replay(stack)
    # Outside every attempt, so that all of them authenticate alike.
    if config.credentials is not None:
        stack = Credentials(stack, config.credentials)
    return stack
