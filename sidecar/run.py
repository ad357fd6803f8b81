"""`sidecar run`: an App on uvloop, and what is said when it can't start."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from sidecar.app import App
from sidecar.config.load import ConfigErrors
from sidecar.control import logs


def run(file: Path | None) -> int:
    """Serve until told to stop. 0, or 1 when it could not start."""
    logs.setup("info")
    try:
        uvloop.run(_serve(file))
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sidecar run: {error.strerror or error}{_hint(error)}", file=sys.stderr)
        return 1
    return 0


async def _serve(file: Path | None) -> None:
    app = App(file)
    await app.start()
    await app.run()


def _hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f": {error.filename}"
    if error.strerror and "in use" in error.strerror:
        return "; is another sidecar running? Change the address in the configuration"
    return ""
