"""A service-mesh sidecar proxy for LLM calls."""

__version__ = "0.1.0"
