"""Monitors of endpoints: active health checks and load reports."""
