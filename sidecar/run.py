"""`sidecar run`: an App on uvloop, and what is said when it can't start."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence

import uvloop

from sidecar.app import App
from sidecar.config.load import ConfigErrors
from sidecar.config.overrides import Overrides
from sidecar.control import logs
from sidecar.control.sources.fixed import FixedSource
from sidecar.control.sources.opened import BadSource, source_of
from sidecar.control.termination import say_why
from sidecar.signals import before_end, came
from sidecar.upstream.connect.descriptors import raise_limit


def run(places: Sequence[str], *, health_port: int | None, level: str | None) -> int:
    """Serve until told to stop. 0, or 1 when it could not start.

    *places*: files and URLs of sources, each laid over those before it; none: the providers.
    *health_port* and *level* are for whoever starts us and can't change the file: an injector.
    """
    logs.setup("info")
    logs.take_over()
    raise_limit()
    try:
        uvloop.run(_serve(places, Overrides(health=_everywhere(health_port), log_level=level)))
    except ConfigErrors as errors:
        return _refuse(str(errors), 1)
    except BadSource as error:
        return _refuse(f"sidecar run: {error}", 2)
    except OSError as error:
        return _refuse(f"sidecar run: {error.strerror or error}{_hint(error)}", 1)
    return 0


def _refuse(reason: str, code: int) -> int:
    print(reason, file=sys.stderr)
    say_why(reason)
    return code


async def _serve(places: Sequence[str], overrides: Overrides) -> None:
    app = App(*(map(source_of, places) if places else [FixedSource()]), overrides=overrides)
    before_end(app.abandon)
    await app.start()
    if came(signal.SIGHUP):
        app.hang_up()
    await app.run()


def _everywhere(port: int | None) -> str | None:
    """This port of every address, of both families if the machine has both."""
    if port is None:
        return None
    return f"[::]:{port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{port}"


def _hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f": {error.filename}"
    if error.strerror and "in use" in error.strerror:
        return "; is another sidecar running? Change the address in the configuration"
    return ""
