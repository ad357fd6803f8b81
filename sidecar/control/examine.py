"""Looks at what a configuration needs of this machine, before anything is opened or bound.

What stands here would otherwise be an error of `Serving.apply`, which knows no line. `run` and
`check` both look, so that `check` refuses what `run` would. Nothing is made and nothing is written:
`check` may be run by another user than the one who serves. Whether a port is free is not looked at.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sidecar.ca.folder import KEY_FILE, Unusable, default_folder
from sidecar.config.check.doubts.whole import shares
from sidecar.config.load import Findings
from sidecar.config.problems import Path as Place
from sidecar.config.problems import Problem
from sidecar.listen.listener import split_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.check.warnings import Whole
    from sidecar.config.model import Config
    from sidecar.upstream.connect.pem import Wrong

_SQLITE: Final = b"SQLite format 3\0"
_SOON: Final = timedelta(days=14)
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104


class _Tls(NamedTuple):
    """Files of one section."""

    ca: str | None
    cert: str | None
    key: str | None


def examine(whole: Whole) -> Findings:
    """Look at certificates and keys, and at places that are opened once, when a sidecar starts."""
    found = examine_again(whole)
    found.wrong.extend(_places(whole))
    return found


def examine_again(whole: Whole) -> Findings:
    """Look at certificates and keys only: for a reload, at which logs and ledgers stay open."""
    found = Findings([], [], [])
    for path, tls in _with_tls(whole.config):
        _examine_tls(path, tls, whole.written, found)
    for path, keys in _with_keys(whole.config):
        _examine_keys(path, keys, whole.written, found)
    return found


def examine_offline(whole: Whole) -> Findings:
    """Look at certificates and keys that are here. What is of another machine is listed."""
    found = examine_again(whole)
    for path in _elsewhere(whole.config):
        found.unchecked.append(Problem(path, "is a place of the machine that serves"))
    return found


def _with_tls(config: Config) -> Iterator[tuple[Place, _Tls]]:
    """Yield the files of all TLS that is used."""
    for name, upstream in config.upstreams.items():
        if any((each.url or each.dns or "").startswith("https:") for each in upstream.endpoints):
            tls = upstream.tls
            yield ("upstreams", name, "tls"), _Tls(tls.ca, tls.cert, tls.key)
    if (config.tracing.endpoint or "").startswith("https:"):
        tls = config.tracing.tls
        yield ("tracing", "tls"), _Tls(tls.ca, tls.cert, tls.key)
    redis = config.store.redis
    if redis is not None and redis.url.startswith("rediss:"):
        yield ("store", "redis"), _Tls(redis.ca, redis.cert, redis.key)
    for index, listener in enumerate(config.listeners):
        if listener.tls is not None:
            yield ("listeners", index, "tls"), _Tls(None, listener.tls.cert, listener.tls.key)
        if listener.access is not None and listener.access.certificates is not None:
            path = "listeners", index, "access", "certificates"
            yield path, _Tls(listener.access.certificates.ca, None, None)


def _examine_tls(path: Place, tls: _Tls, written: Any, found: Findings) -> None:
    if tls.ca is None and tls.cert is None:
        return
    # Late: most configurations name no such file.
    from sidecar.upstream.connect import pem

    checks: list[Callable[[], Wrong | None]] = []
    if (ca := tls.ca) is not None:
        checks.append(lambda: pem.wrong_roots(ca))
    if (cert := tls.cert) is not None:
        checks.append(lambda: pem.wrong_pair(cert, tls.key))
    for check in checks:
        try:
            wrong = check()
        except OSError:  # one that can't be read is told, or listed, already
            continue
        if wrong is not None:
            where = (*path, wrong.key)
            found.wrong.append(Problem(where, f"{_named(written, where)} {wrong.message}"))
    if cert is not None:
        _examine_validity((*path, "cert"), cert, written, found)


def _examine_validity(path: Place, cert: str, written: Any, found: Findings) -> None:
    from sidecar.upstream.connect import pem

    try:
        times = pem.first_validity(cert)
    except OSError:
        return
    if times is None:
        return
    now, (begins, ends) = datetime.now(UTC), times
    told = ""
    if ends < now:
        told = f"has expired on {ends:%Y-%m-%d}: others will refuse it. Renew it"
    elif begins > now:
        told = f"is not valid before {begins:%Y-%m-%d %H:%M} UTC: is the clock right?"
    elif ends - now < _SOON:
        told = f"expires on {ends:%Y-%m-%d}. Renew it"
    if told:
        found.doubtful.append(Problem(path, f"{_named(written, path)} {told}"))


def _with_keys(config: Config) -> Iterator[tuple[Place, Path]]:
    """Yield the files with keys that verify tokens."""
    for index, listener in enumerate(config.listeners):
        if listener.access is not None and listener.access.tokens is not None:
            keys = listener.access.tokens.keys
            yield ("listeners", index, "access", "tokens", "keys"), Path(keys)


def _examine_keys(path: Place, file: Path, written: Any, found: Findings) -> None:
    # Late: `cryptography` is big. To check tokens takes it anyway.
    from sidecar.policy.jwks import read_keys

    try:
        read_keys(file.read_bytes())
    except OSError:  # told already
        pass
    except ValueError as error:
        found.wrong.append(Problem(path, f"{_named(written, path)} {error}"))


def _named(written: Any, path: Place) -> str:
    """Name the file at *path* as it is written there; what a reference stands for is not shown."""
    for step in path:
        written = written[step]
    return "the file" if "${" in written else str(written)


def _places(whole: Whole) -> Iterator[Problem]:
    config = whole.config
    log, budgets = config.access_log.path, config.budgets
    if log not in (None, "-") and (wrong := _unwritable(Path(str(log)))):
        yield Problem(("access_log", "path"), wrong)
    if budgets.ledger is not None and budgets.limits:
        yield from _ledger(Path(budgets.ledger))
    for index, listener in enumerate(config.listeners):
        if listener.path is not None:
            yield from _socket(("listeners", index, "path"), Path(listener.path))
        if listener.address is not None:
            yield from _address(("listeners", index, "address"), listener.address)
    if config.admin.health is not None:
        yield from _address(("admin", "health"), config.admin.health)
    yield from _authority(config)
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


def _elsewhere(config: Config) -> Iterator[Place]:
    """Yield what `_places` looks at."""
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
    if wrong := _unwritable(file) or _unwritable(Path(f"{file}-turn")):
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
    if settings.publish is None and all(each.mode == "reverse" for each in config.listeners):
        return
    try:
        folder = Path(settings.ca) if settings.ca else default_folder()
        if (folder / KEY_FILE).exists() and settings.publish is not None:
            # Late: `cryptography` is big. To publish a CA takes it anyway.
            from sidecar.ca.authority import read_authority

            read_authority(folder / KEY_FILE)
        elif settings.publish is not None and (wrong := _unmakeable(folder)):
            yield Problem(("intercept", "ca"), wrong)
    except Unusable as error:
        yield Problem(("intercept", "ca"), str(error))
    except OSError as error:
        yield Problem(("intercept", "ca"), f"{error.filename}: {error.strerror}")
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
        return f"there is no folder {folder}; make it, and let the sidecar's user write there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} cannot be written by {_user()}"
    return None


def _unmakeable(folder: Path) -> str | None:
    """Tell why *folder* can't be used, or made."""
    if folder.is_dir():
        return _no_folder(folder)
    above = next(each for each in folder.absolute().parents if each.exists())
    return f"{folder} cannot be made: {wrong}" if (wrong := _no_folder(above)) else None


def _user() -> str:
    return f"this user (uid {os.geteuid()})"
