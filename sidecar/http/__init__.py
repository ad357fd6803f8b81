"""Bytes into messages and back (RFC 9110, RFC 9112), SSE boundaries. Pure."""
