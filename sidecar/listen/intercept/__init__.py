"""Interception: connections to other servers are looked at, then served here or passed on."""
