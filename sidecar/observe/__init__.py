"""Counters, trace context, access log: what is seen of calls."""
