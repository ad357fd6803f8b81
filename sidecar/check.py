"""`sidecar check`: every mistake in a configuration, wherever it is kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sidecar.config.load import ConfigErrors, Written, load
from sidecar.control.sources.opened import BadSource, read_once


def check(places: Sequence[str]) -> int:
    """Print what is wrong with the configuration that *places* make up. 0: nothing."""
    names = ", ".join(places)
    try:
        first, *others = [Written(*read_once(place)) for place in places]
        loaded = load(first.text, file=first.file, over=others)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        count = len(errors.errors)
        print(f"{count} mistake{'s' if count > 1 else ''} in {names}", file=sys.stderr)
        return 1
    except BadSource as error:
        print(f"sidecar check: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sidecar check: can't read {names}: {error.strerror}", file=sys.stderr)
        return 1
    for warning in loaded.warnings:
        print(f"{warning} (warning)", file=sys.stderr)
    print(f"{names} is valid{_with(len(loaded.warnings))}")
    return 0


def _with(warnings: int) -> str:
    if not warnings:
        return ""
    return f", with {warnings} warning{'s' if warnings > 1 else ''}"
