"""File descriptors: as many as the process may have, of which some are kept in reserve.

POSIX gives a new descriptor the lowest number that is free, so that its number tells how many are
in use at least. Callers' connections get none of the last numbers, endpoints' not the very last:
some stay for what is no call (the admin server, files, look-ups), and libuv never comes to the end,
where it closes new connections without a word.
"""

from __future__ import annotations

import resource
import sys
from typing import Final, NamedTuple

_RESERVE: Final = 64
"""Descriptors that are kept for what is no call, and as many more for connections to endpoints."""
_MOST: Final = 2**20
"""What is asked for where the system sets no limit: Linux' own default for the hard limit."""
FULL: Final = "the process has no file descriptors left"


class Ceilings(NamedTuple):
    """Numbers that a descriptor of each kind stays below."""

    accepted: int = sys.maxsize
    dialled: int = sys.maxsize


ceilings = Ceilings()


def ceilings_for(limit: int) -> Ceilings:
    """Return the ceilings of a process that may have *limit* descriptors."""
    reserve = min(_RESERVE, limit // 8)
    return Ceilings(limit - 2 * reserve, limit - reserve)


def raise_limit() -> int:
    """Raise the soft limit of descriptors to the hard one; return it.

    The soft limit, often 1,024, is there for programs that use select(2). Go's runtime and Envoy
    raise it as well.
    """
    global ceilings  # noqa: PLW0603 - the process has one table of descriptors
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):  # a system with a lower limit of its own
            pass
    limit = _MOST if soft == resource.RLIM_INFINITY else soft
    ceilings = ceilings_for(limit)
    return limit


def may_accept(number: int) -> bool:
    """Whether a caller's connection may keep the descriptor *number*."""
    return number < ceilings.accepted


def may_dial(number: int) -> bool:
    """Whether a connection to an endpoint may keep the descriptor *number*."""
    return number < ceilings.dialled
