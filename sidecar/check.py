"""`sidecar check`: every mistake in a configuration, wherever it is kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sidecar.config.load import ConfigErrors, Loaded, Written, load
from sidecar.control.examine import examine, examine_offline
from sidecar.control.sources.opened import BadSource, is_url, read_once
from sidecar.control.termination import reason_of

STDIN = "-"


def check(places: Sequence[str], *, offline: bool = False, strict: bool = False) -> int:
    """Print what is wrong with the configuration that *places* make up. 0: nothing.

    *offline*: nothing is fetched, and secrets need not be here; what could not be looked at is
    told. *strict*: warnings count as mistakes.
    """
    names = ", ".join("standard input" if place == STDIN else place for place in places)
    try:
        loaded = _load(places, offline)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        print(f"{_count(len(errors.errors), 'mistake')} in {names}", file=sys.stderr)
        return 1
    except BadSource as error:
        print(f"sidecar check: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sidecar check: {reason_of(error)}", file=sys.stderr)
        return 1
    for told in loaded.unchecked:
        print(f"{told} (not checked)", file=sys.stderr)
    skipped = [place for place in places[1:] if offline and is_url(place)]
    for place in skipped:
        print(f"{place} is not read offline (not checked)", file=sys.stderr)
    for warning in loaded.warnings:
        print(f"{warning} (warning)", file=sys.stderr)
    parts = [_count(len(loaded.warnings), "warning")] if loaded.warnings else []
    unchecked = len(loaded.unchecked) + len(skipped)
    if unchecked:
        parts.append(f"{_count(unchecked, 'thing')} not checked")
    valid = "is not valid under --strict" if strict and loaded.warnings else "is valid"
    print(f"{names} {valid}{', with ' if parts else ''}{' and '.join(parts)}")
    return int(strict and bool(loaded.warnings))


def _load(places: Sequence[str], offline: bool) -> Loaded:
    if offline and is_url(places[0]):
        raise BadSource("--offline needs the first source to be a file: the others lie over it")
    first, *others = [Written(*_read(place)) for place in places if not (offline and is_url(place))]
    look = examine_offline if offline else examine
    return load(first.text, file=first.file, over=others, offline=offline, examine=look)


def _read(place: str) -> tuple[str, str]:
    if place == STDIN:
        return sys.stdin.buffer.read().decode("utf-8", errors="replace"), "standard input"
    return read_once(place)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
