"""Connections out: endpoints, connections, pools, name resolution."""
