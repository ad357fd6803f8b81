"""Checks what a listener's settings ask of each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.config.problems import Path, Problem

_WAYS: Final = ("callers", "tokens", "certificates")


def listener_problems(listeners: Iterable[tuple[Path, object]]) -> Iterator[Problem]:
    """Find what does not go together in each of *listeners*, which are trees with their paths."""
    for path, value in listeners:
        if isinstance(value, dict):
            if value.get("mode") in ("forward", "capture"):
                yield from _of_other_modes(path, value)
            else:
                yield from _reverse(path, value)


def _of_other_modes(path: Path, value: dict[object, object]) -> Iterator[Problem]:
    """Proxies and redirects have TCP addresses, and keys of providers in the headers of calls."""
    mode = value["mode"]
    if value.get("path") is not None:
        yield Problem((*path, "path"), f"mode {mode} needs an `address`")
    if value.get("tls") is not None:
        yield Problem((*path, "tls"), f"mode {mode} has no certificate of its own")
    if value.get("access") is not None:
        yield Problem((*path, "access"), f"mode {mode} knows no callers")


def _reverse(path: Path, value: dict[object, object]) -> Iterator[Problem]:
    tls, access = value.get("tls"), value.get("access")
    if tls is not None and value.get("path") is not None:
        yield Problem((*path, "tls"), "a Unix socket has no TLS")
    if tls is not None and value.get("half_close") == "serve":
        yield Problem((*path, "half_close"), "TLS can't be closed on one side only")
    if not isinstance(access, dict) or not access.keys() <= set(_WAYS):
        return
    if not any(access.get(way) for way in _WAYS):
        yield Problem((*path, "access"), f"lets nobody in: give {_one_of(_WAYS)}")
    if access.get("certificates") is not None and tls is None:
        yield Problem(
            (*path, "access", "certificates"), "needs `tls`: client certificates come with it"
        )


def _one_of(keys: tuple[str, ...]) -> str:
    return f"{', '.join(f'`{key}`' for key in keys[:-1])} or `{keys[-1]}`"
