"""`sidecar run`: an App on uvloop, and what is said when it can't start."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from typing import Final

import uvloop

from sidecar import environment
from sidecar.app import App
from sidecar.config.load import ConfigErrors
from sidecar.control import logs
from sidecar.control.sources.fixed import FixedSource
from sidecar.control.sources.opened import BadSource, source_of
from sidecar.control.termination import reason_of, say_why
from sidecar.options import BadOption, Options, chosen
from sidecar.signals import before_end, came
from sidecar.upstream.connect.descriptors import raise_limit

_log: Final = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop, as *arguments* of `sidecar run` say, and the environment.

    Return 0; 1 when it could not start; 2 for options that make no sense.
    """
    try:
        options = chosen(arguments)
    except BadOption as error:
        return _refuse(f"sidecar run: {error}", 2)
    except OSError as error:
        return _refuse(f"sidecar run: {error.strerror}: {error.filename}", 1)
    logs.setup("info", form=options.log_format)
    logs.take_over()
    raise_limit()
    try:
        uvloop.run(_serve(options))
    except ConfigErrors as errors:
        return _refuse(str(errors), 1)
    except BadSource as error:
        return _refuse(f"sidecar run: {error}", 2)
    except OSError as error:
        return _refuse(f"sidecar run: {reason_of(error)}", 1)
    return 0


def _refuse(reason: str, code: int) -> int:
    print(reason, file=sys.stderr)
    say_why(reason)
    return code


async def _serve(options: Options) -> None:
    sources = [source_of(place) for place in options.sources] or [FixedSource()]
    app = App(*sources, overrides=options.overrides)
    before_end(app.abandon)
    await app.start()
    names = ", ".join(source.stats.name for source in sources)
    _log.info("configuration", extra={"source": names, "chosen_by": options.chosen_by})
    _tell_of_unknown(app)
    if came(signal.SIGHUP):
        app.hang_up()
    await app.run()


def _tell_of_unknown(app: App) -> None:
    """Warn of variables that are most likely misspelt, unless the configuration uses them."""
    for name, meant in environment.unknown(os.environ):
        if f"env:{name}" not in str(app.loaded.shown):
            known = ", ".join(environment.VARIABLES)
            hint = f"did you mean {meant}?" if meant else f"these are known: {known}"
            _log.warning("the environment variable %s means nothing here; %s", name, hint)
