"""Where a call would go: the whole answer, as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from sidecar.control.explain.passed_over import PassedOver
from sidecar.control.explain.targets import TargetSeen


class Asked(msgspec.Struct, frozen=True):
    """The call, as the sidecar has read it."""

    method: str
    path: str
    host: str
    model: str | None
    stream: bool
    headers: list[str]
    """Names only: values may be secrets."""


class Refused(msgspec.Struct, frozen=True):
    """The error that the caller would get."""

    status: int
    code: str
    message: str


class Sent(msgspec.Struct, frozen=True):
    """What is the same for all upstreams of the route."""

    path: str
    """Rewritten, without an endpoint's base path."""
    captured: Mapping[str, str]
    """What the route's match captured."""
    labels: Mapping[str, str]
    """Labels that endpoints must have."""
    priority: str
    timeouts: dict[str, float | None]
    """Seconds; those of the route's own upstream, changed by what the caller may say."""
    retries: int | None
    """The caller's number, where it may say one."""


class Explained(msgspec.Struct, frozen=True):
    """The answer to a question."""

    outcome: Literal["routed", "refused", "answered", "passed_through"]
    """`answered`: by the sidecar itself. `passed_through`: the listener connects the client to a
    host that no route names, and reads nothing."""
    asked: Asked
    listener: str
    live: bool
    """Whether a running sidecar answered; else states of endpoints are not known."""
    routes: int
    """How many there are."""
    sentences: list[str] = []
    """The answer in plain words."""
    task: bool = False
    """Whether the call names a task, whose configuration chooses the route."""
    route: str | None = None
    index: int | None = None
    policy: str | None = None
    """Name of the route's policy."""
    passed_over: list[PassedOver] = []
    """Routes before it that do not match, and why."""
    also_match: list[str] = []
    """Later routes that match, too: the first wins."""
    layers: list[str] = []
    """What the call goes through, outermost first."""
    sent: Sent | None = None
    targets: list[TargetSeen] = []
    refused: Refused | None = None
    access: Refused | None = None
    """What the listener answers, since it knows its callers, and the call shows nothing of one.
    The rest tells of the call all the same."""
