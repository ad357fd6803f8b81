"""Looks at what a configuration needs of this machine, before anything is opened or bound.

What stands here would otherwise be an error of `Serving.apply`, which knows no line. `run` and
`check` both look, so that `check` refuses what `run` would. Nothing is made and nothing is written:
`check` may be run by another user than the one who serves. Whether a port is free is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sidecar.config.load import Findings
from sidecar.config.problems import Path as Place
from sidecar.config.problems import Problem
from sidecar.control.places import elsewhere, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.config.check.warnings import Whole
    from sidecar.config.model import Config
    from sidecar.upstream.connect.pem import Wrong

_SOON: Final = timedelta(days=14)


class _Tls(NamedTuple):
    """Files of one section."""

    ca: str | None
    cert: str | None
    key: str | None


def examine(whole: Whole) -> Findings:
    """Look at certificates and keys, and at places that are opened when a sidecar starts."""
    return examine_again(whole, None)


def examine_again(whole: Whole, before: Config | None) -> Findings:
    """Look at certificates and keys, and at places that are new since *before*: others are open."""
    found = _examine_files(whole)
    found.wrong.extend(places(whole, before))
    return found


def _examine_files(whole: Whole) -> Findings:
    found = Findings([], [], [])
    for path, tls in _with_tls(whole.config):
        _examine_tls(path, tls, whole.written, found)
    for path, keys in _with_keys(whole.config):
        _examine_keys(path, keys, whole.written, found)
    return found


def examine_offline(whole: Whole) -> Findings:
    """Look at certificates and keys that are here. What is of another machine is listed."""
    found = _examine_files(whole)
    for path in elsewhere(whole.config):
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
