"""Places of this machine that a configuration needs: files, folders, sockets and addresses."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.ca.folder import KEY_FILE, Unusable, default_folder
from sidecar.config.check.doubts.whole import shares
from sidecar.config.problems import Path as Place
from sidecar.config.problems import Problem
from sidecar.listen.listener import split_address

if TYPE_CHECKING:
    from sidecar.config.check.warnings import Whole
    from sidecar.config.model import Config

_SQLITE: Final = b"SQLite format 3\0"
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104


def places(whole: Whole, before: Config | None) -> Iterator[Problem]:
    """Find what can't be opened, of what is not open since *before*.

    No message has a path: a reference may be a part of it.
    """
    config = whole.config
    log, budgets = config.access_log.path, config.budgets
    old_log = before and before.access_log.path
    if log not in (None, "-", old_log) and (wrong := _unwritable(Path(str(log)))):
        yield Problem(("access_log", "path"), wrong)
    open_ledger = before and before.budgets.limits and before.budgets.ledger
    if budgets.limits and budgets.ledger not in (None, open_ledger):
        yield from _ledger(Path(str(budgets.ledger)))
    listening = {(each.path, each.address) for each in before.listeners} if before else set()
    for index, listener in enumerate(config.listeners):
        if (listener.path, listener.address) in listening:
            continue
        if listener.path is not None:
            yield from _socket(("listeners", index, "path"), Path(listener.path))
        if listener.address is not None:
            yield from _address(("listeners", index, "address"), listener.address)
    if config.admin.health not in (None, before and before.admin.health):
        yield from _address(("admin", "health"), str(config.admin.health))
    if before is None or config.intercept != before.intercept:
        yield from _authority(config)
    if before is None or config.store.redis != before.store.redis:
        yield from _store(whole)


def _store(whole: Whole) -> Iterator[Problem]:
    redis = whole.config.store.redis
    if redis is None or not shares(whole):
        return
    # Late: where nothing is shared, none of it is imported.
    from sidecar.proxy.routing.redis import redis_store

    try:
        redis_store(redis)  # connects when it is first asked
    except OSError as error:
        yield Problem(("store", "redis"), str(error).removeprefix("store.redis: "))


def elsewhere(config: Config) -> Iterator[Place]:
    """Yield what `places` looks at."""
    if config.access_log.path not in (None, "-"):
        yield "access_log", "path"
    if config.budgets.limits:
        yield "budgets", "ledger"
    for index, listener in enumerate(config.listeners):
        if listener.path is not None:
            yield "listeners", index, "path"
        elif split_address(listener.address or "")[0] not in (*_ANYWHERE, "127.0.0.1", "localhost"):
            yield "listeners", index, "address"
    for key in ("ca", "publish"):
        if getattr(config.intercept, key) is not None:
            yield "intercept", key


def _ledger(file: Path) -> Iterator[Problem]:
    path = "budgets", "ledger"
    beside = _no_folder(file.parent)  # there is more than one file
    if wrong := _unwritable(file) or beside or _unwritable(Path(f"{file}-turn")):
        yield Problem(path, wrong)
        return
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
    except FileNotFoundError:
        return
    except OSError as error:
        yield Problem(path, f"cannot be read: {error.strerror}")
        return
    if head not in (b"", _SQLITE):
        yield Problem(path, "is no SQLite file; name another one, which is made at the start")


def _socket(path: Place, file: Path) -> Iterator[Problem]:
    if wrong := _no_folder(file.parent):
        yield Problem(path, wrong)
    elif file.exists() and not stat.S_ISSOCK(file.stat().st_mode):
        yield Problem(path, "is there already, and is no socket; remove it, or name another path")


def _address(path: Place, address: str) -> Iterator[Problem]:
    """Bind any free port of the host: does this machine have the address?"""
    host, _ = split_address(address)
    if host in (*_ANYWHERE, "localhost"):
        return
    try:
        infos = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        yield Problem(path, "the name does not resolve; listen at an address, as 0.0.0.0")
        return
    for family, kind, protocol, _, place in infos:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(place)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                told = "this machine does not have this address; listen at 0.0.0.0 or 127.0.0.1"
                yield Problem(path, told)
                return


def _authority(config: Config) -> Iterator[Problem]:
    """Look at the local CA, where one is used."""
    settings = config.intercept
    if settings.publish is None and (
        settings.ca is None or all(each.mode == "reverse" for each in config.listeners)
    ):
        return  # nobody said that there is to be one: without it, connections are passed through
    folder = Path(settings.ca or "")
    try:
        folder = folder if settings.ca else default_folder()
        if (folder / KEY_FILE).exists() and settings.publish is not None:
            # Late: `cryptography` is big. To publish a CA takes it anyway.
            from sidecar.ca.authority import read_authority

            read_authority(folder / KEY_FILE)
        elif settings.publish is not None and (wrong := _unmakeable(folder)):
            yield Problem(("intercept", "ca"), wrong)
    except Unusable as error:
        told = str(error).removeprefix(f"{folder / KEY_FILE} ")
        yield Problem(("intercept", "ca"), told)
    except OSError as error:
        yield Problem(("intercept", "ca"), f"{KEY_FILE} in it cannot be read: {error.strerror}")
    if settings.publish is not None and (wrong := _unmakeable(Path(settings.publish))):
        yield Problem(("intercept", "publish"), wrong)


def _unwritable(file: Path) -> str | None:
    """Tell why *file* can't be written, or made."""
    if file.is_dir():
        return "is a folder; expected the path of a file"
    if file.exists():
        return None if os.access(file, os.W_OK) else f"cannot be written by {_user()}"
    return _no_folder(file.parent)


def _no_folder(folder: Path) -> str | None:
    """Tell why no file can be made in *folder*."""
    if not folder.is_dir():
        return "its folder does not exist; make it, and let the sidecar's user write there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"its folder cannot be written by {_user()}"
    return None


def _unmakeable(folder: Path) -> str | None:
    """Tell why *folder* can't be used, or made."""
    if folder.is_dir():
        return _no_folder(folder)
    above = next(each for each in folder.absolute().parents if each.exists())
    return f"cannot be made: {wrong}" if (wrong := _no_folder(above)) else None


def _user() -> str:
    return f"this user (uid {os.geteuid()})"
