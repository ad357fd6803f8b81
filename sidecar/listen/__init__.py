"""Connections in: listeners, the downstream protocol, tunnels."""
