"""Files of keys that are not there yet: with them missing, a sidecar starts all the same.

In Kubernetes a key may come seconds after the pod that needs it. Upstreams without their keys are
sent nothing until then; all else serves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import structs

from sidecar.config.model import Config, Key, Upstream
from sidecar.config.problems import Path

_OF_ONE: Final = 4
"""The length of `upstreams.NAME.credentials.value`."""


def is_key(path: Path) -> bool:
    """Whether *path* is that of a key that attempts at an upstream are sent with."""
    return path[0] == "upstreams" and path[2:3] == ("credentials",) and path[-1] == "value"


def without_keys(config: Config, absent: Collection[Path]) -> tuple[Config, frozenset[str]]:
    """Return *config* without the keys at *absent*, and the upstreams that have none left.

    These take the callers' keys no more than before.
    """
    upstreams, waiting = dict(config.upstreams), set()
    for name in {str(path[1]) for path in absent if is_key(path)}:
        upstream = upstreams[name]
        gone = {path[3] for path in absent if path[1] == name and len(path) > _OF_ONE}
        left = _left(upstream, gone)
        if not left:
            waiting.add(name)
        upstreams[name] = structs.replace(upstream, credentials=left or "drop")
    return structs.replace(config, upstreams=upstreams), frozenset(waiting)


def _left(upstream: Upstream, gone: Collection[object]) -> tuple[Key, ...]:
    """Return the keys that are not *gone*, under the names that they have with all others."""
    keys = upstream.credentials
    return tuple(
        structs.replace(key, name=key.name or f"key-{index + 1}")
        for index, key in enumerate(keys if isinstance(keys, tuple) else ())
        if index not in gone
    )
