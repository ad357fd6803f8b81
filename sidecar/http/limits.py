"""Limits on the size of a message head."""

from __future__ import annotations

from typing import NamedTuple


class HeadLimits(NamedTuple):
    """Bytes, except `header_count`."""

    request_line: int = 16 * 1024
    header: int = 16 * 1024
    headers: int = 64 * 1024
    header_count: int = 128
    body: int | None = None


REPLY_LIMITS = HeadLimits(header=64 * 1024, headers=256 * 1024, header_count=512)
"""Wider than for requests: providers send long cookies and policies."""
