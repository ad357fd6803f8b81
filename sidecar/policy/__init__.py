"""Decisions. Pure: time and randomness are arguments."""
