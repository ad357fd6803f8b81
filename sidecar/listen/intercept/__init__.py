"""Interception: connections that were meant for somebody else are looked at, then served or not."""
