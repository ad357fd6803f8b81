"""Doubts about listeners: who may reach them, and what an interception intercepts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from sidecar.config.check.addresses import parse_address
from sidecar.config.check.doubts.whole import Whole, inner
from sidecar.config.model import Config, Listener
from sidecar.config.problems import Problem

_KNOWN: Final = {
    f"sha256:{hashlib.sha256(text).hexdigest()}": told
    for text, told in ((b"", "an empty key"), (b"\n", "a line break"), (b"changeme", "`changeme`"))
}


def of_listeners(whole: Whole) -> Iterator[Problem]:
    """Find what is doubtful about each listener, and about what they intercept."""
    config = whole.config
    for index, listener in enumerate(config.listeners):
        path = ("listeners", index)
        written = whole.written["listeners"][index]
        if _is_open(listener) and listener.access is None and listener.trust.headers:
            yield Problem(
                (*path, "trust", "headers"),
                "everybody who reaches this address may change policies and limits by headers: "
                "listen at 127.0.0.1 or a socket, or say with `access` who may call",
            )
        elif _is_open(listener) and "access" not in written and _gives_keys(config, listener):
            yield Problem(
                (*path, "address"),
                "everybody who reaches this address makes calls with the keys of `credentials`: "
                "listen at 127.0.0.1 or a socket, or say with `access` who may call; or "
                "`access: null`, if something else keeps others out",
            )
        if listener.mode == "forward" and _is_open(listener) and not _lets_others_in(config):
            yield Problem(
                (*path, "address"),
                "others reach this address, but `intercept.clients` lets only this machine in: "
                "listen at 127.0.0.1, or name their networks there",
            )
        for name, digests in (listener.access.callers if listener.access else {}).items():
            for number, digest in enumerate(digests):
                if digest in _KNOWN:
                    yield Problem(
                        (*path, "access", "callers", name, number),
                        f"is the digest of {_KNOWN[digest]}: printf %s KEY | sha256sum",
                    )
    yield from _interception(whole)


def _is_open(listener: Listener) -> bool:
    """Whether other machines reach it."""
    parsed = parse_address(listener.address or "")
    if parsed is None or parsed.host == "localhost":
        return False
    try:
        return not ip_address(parsed.host).is_loopback
    except ValueError:
        return True


def _gives_keys(config: Config, listener: Listener) -> bool:
    return listener.mode == "reverse" and any(each.keys() for each in config.upstreams.values())


def _lets_others_in(config: Config) -> bool:
    return any(not ip_network(each).is_loopback for each in config.intercept.clients)


def _interception(whole: Whole) -> Iterator[Problem]:
    config = whole.config
    intercepting = [index for index, each in enumerate(config.listeners) if each.mode != "reverse"]
    given = inner(whole.written, "intercept") is not None and config.intercept.publish is None
    if given and not intercepting:
        told = "has no effect: no listener has the mode `forward` or `capture`"
        yield Problem(("intercept",), told)
    if intercepting and not any(route.match.host for route in config.routes):
        yield Problem(
            ("listeners", intercepting[0], "mode"),
            "nothing is intercepted: no route names a host, as `match: {host: api.openai.com}`",
        )
