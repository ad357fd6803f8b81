"""What an endpoint's reply says about the endpoint."""

from __future__ import annotations

from typing import Final

_OVERLOADED: Final = frozenset({408, 429})


def endpoint_failed(status: int) -> bool:
    """Whether a reply speaks against who sent it; other 4xx speak against the caller.

    429 does: whatever the reason, this endpoint serves no more calls for now.
    """
    return status >= 500 or status in _OVERLOADED
