"""Many real processes at one quota: sidecars, Envoy's local rate limit, and SDKs alone."""

from typing import Final

CLIENT: Final = "x-client"
"""Header that says which client calls."""
