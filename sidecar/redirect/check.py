"""Prove that connections are redirected: make some, and see where they arrive.

They go to addresses for documentation (RFC 5737, RFC 3849), so that an answer can only come from
the redirect. Where no sidecar listens yet, we do, and look for what we have sent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

NOBODY: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_LOOPBACK: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PATIENCE: Final = 1.0
"""Seconds. A redirected connection is answered at once, by this machine."""


class Result(NamedTuple):
    """What one check found."""

    good: bool
    text: str


def check(port: int, to: int, owner: int, user: int) -> Iterator[Result]:
    """Whether connections of *user* to *port* arrive at *to*, and those of *owner* do not."""
    for family, address in NOBODY.items():
        name = "IPv4" if family == socket.AF_INET else "IPv6"
        if not _has_route(family, address):
            yield Result(True, f"{name}: no route, nothing to redirect")
            continue
        try:
            arrives = _arrives(family, address, port, to, user)
        except OSError as error:
            yield Result(False, f"{name}: not redirected: {error}")
            continue
        yield Result(arrives, f"{name}: {'redirected' if arrives else 'answered, but not here'}")
        passes = not _answered(family, address, port, owner)
        text = "is left alone" if passes else "is redirected too: the sidecar would capture itself"
        yield Result(passes, f"{name}: the sidecar's user {owner} {text}")


def _has_route(family: int, address: str) -> bool:
    """Whether this machine would send anything to *address*: for UDP, connecting only asks that."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 1))
    except OSError:
        return False
    return True


def _arrives(family: int, address: str, port: int, to: int, user: int) -> bool:
    token = secrets.token_bytes(16)
    with contextlib.ExitStack() as stack:
        try:
            listening = stack.enter_context(_listening(family, to))
        except OSError:
            listening = None  # a sidecar is there already
        with _connected(family, address, port, user) as sock:
            if listening is None:
                return True
            sock.sendall(token)
            listening.settimeout(_PATIENCE)
            accepted = stack.enter_context(listening.accept()[0])
            accepted.settimeout(_PATIENCE)
            return accepted.recv(len(token)) == token


def _listening(family: int, port: int) -> socket.socket:
    return socket.create_server((_LOOPBACK[socket.AddressFamily(family)], port), family=family)


def _answered(family: int, address: str, port: int, user: int) -> bool:
    try:
        _connected(family, address, port, user).close()
    except ConnectionRefusedError:
        return True  # by this machine: nobody listens where it was redirected to
    except OSError:
        return False
    return True


def _connected(family: int, address: str, port: int, user: int) -> socket.socket:
    sock = socket.socket(family) if os.geteuid() == user else _socket_of(user, family)
    try:
        sock.settimeout(_PATIENCE)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _socket_of(user: int, family: int) -> socket.socket:
    """Make a socket that belongs to *user*: rules look at its owner."""
    ours = os.geteuid()
    os.seteuid(user)
    try:
        return socket.socket(family)
    finally:
        os.seteuid(ours)
