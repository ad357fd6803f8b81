"""Parts of a configuration as their file would have them, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, Struct, structs

from sidecar.config.model.base import Secret
from sidecar.config.model.policy import Policy
from sidecar.config.model.units import Duration, Share, Size

_SHOWN: Final = (
    "timeouts", "retry", "hedge", "breaker", "limits", "cache", "single_flight", "batch",
    "priority", "state", "comments", "hold",
)  # fmt: skip
"""What decides when and how often a call is sent. The rest shows as layers."""


def plain(value: object) -> object:
    """Return *value* as JSON has it; durations, sizes and shares as they are written."""
    if isinstance(value, Struct):
        return {name: plain(getattr(value, name)) for name in structs.asdict(value)}
    if isinstance(value, (Duration, Share, Size)):
        return value.written()
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return None if value is UNSET else value


def shown(policy: Policy) -> dict[str, object]:
    """Return what of *policy* decides when and how often a call is sent."""
    return {name: plain(getattr(policy, name)) for name in _SHOWN}
