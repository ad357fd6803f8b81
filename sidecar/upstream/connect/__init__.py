"""Connections to endpoints: names, TCP, TLS, and the pool that keeps them."""
