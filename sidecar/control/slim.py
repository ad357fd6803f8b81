"""Import the server half of aiohttp without its client half.

`aiohttp/__init__.py` imports the client, whose connector loads the system's certificates twice
before anything is asked of it, and `aiohttp.web` imports a router, files and WebSockets. The low
level server needs none of that: 9 MB instead of 16, and half of the time. Half a MB of it is
`urllib.request`, of which two functions are asked for that only a client ever calls.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiohttp.web_response import Response
    from aiohttp.web_server import Server


_PROXIES: Final = "urllib.request"


def import_server() -> tuple[type[Server], type[Response]]:
    """Return aiohttp's low level server, and its response.

    Another thread that imports aiohttp for the first time in this very moment would miss its
    client: let it do so before, or after.
    """
    if "aiohttp" in sys.modules:
        return _import()
    spec = importlib.util.find_spec("aiohttp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'aiohttp'", name="aiohttp")
    # The package with its path, but not run. Its submodules are found through it.
    package = importlib.util.module_from_spec(spec)
    package.__dict__["__version__"] = ""  # all that they take from it: for a Server header
    sys.modules["aiohttp"] = package
    stands_in = sys.modules.setdefault(_PROXIES, _StandIn(_PROXIES))
    try:
        return _import()
    finally:
        # Who imports aiohttp after us gets the whole, of which these parts are already there.
        del sys.modules["aiohttp"]
        if isinstance(stands_in, _StandIn):
            del sys.modules[_PROXIES]


class _StandIn(ModuleType):
    """In place of `urllib.request` while aiohttp's helpers are imported."""

    @staticmethod
    def getproxies() -> dict[str, str]:
        """What the module's own answers."""
        from urllib.request import getproxies

        return getproxies()

    @staticmethod
    def proxy_bypass(host: str) -> Any:
        """What the module's own answers."""
        from urllib.request import proxy_bypass

        return proxy_bypass(host)


def _import() -> tuple[type[Server], type[Response]]:
    from aiohttp.web_response import Response
    from aiohttp.web_server import Server

    return Server, Response
