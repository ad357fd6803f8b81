"""Import the parts of packages that are needed, without what comes along and never runs.

`aiohttp/__init__.py` imports the client, whose connector loads the system's certificates twice
before anything is asked of it, and `aiohttp.web` imports a router, files and WebSockets. The low
level server needs none of that: 9 MB instead of 16, and half of the time. Nearly two of them are
what its imports ask of others: a client's proxies, a browser's entities and an e-mail's headers.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sidecar.control import standins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.web_response import Response
    from aiohttp.web_server import Server
    from watchfiles._rust_notify import RustNotify


def import_server() -> tuple[type[Server], type[Response]]:
    """Return aiohttp's low level server, and its response."""
    # All that is taken from the package itself is the version, for a Server header.
    with _package_alone("aiohttp", __version__=""), standins.in_place():
        from aiohttp.web_response import Response
        from aiohttp.web_server import Server

    return Server, Response


def import_notify() -> type[RustNotify]:
    """Return watchfiles' watch, without its `awatch` and what that imports: 0.7 MB less."""
    with _package_alone("watchfiles"):
        from watchfiles._rust_notify import RustNotify

    return RustNotify


@contextmanager
def _package_alone(name: str, **names: str) -> Iterator[None]:
    """Let modules of the package *name* be imported within without its `__init__` being run.

    Another thread that imports the package for the first time in this very moment would find it
    empty: let it do so before, or after. Whoever imports it after us gets the whole, of which our
    parts are already there.
    """
    if name in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = importlib.util.module_from_spec(spec)  # with its path, through which parts are found
    package.__dict__.update(names)
    sys.modules[name] = package
    try:
        yield
    finally:
        del sys.modules[name]
