"""Logs what is decided for each call, and why, while the log level is `debug`.

Callers check `on` first, so that a call costs one look at a variable while the level is higher.
"""

from __future__ import annotations

import logging
from typing import Final

_log: Final = logging.getLogger("sidecar.call")

on = False
"""Whether the log level is `debug`."""


def switch(wanted: bool) -> None:
    """Tell, or tell no more."""
    global on  # noqa: PLW0603 - a look at it costs a fifth of `Logger.isEnabledFor`
    on = wanted


def tell(request_id: bytes, message: str, *values: object) -> None:
    """Log *message* of the call with *request_id*."""
    extra = {"request_id": request_id.decode("latin-1")}
    _log.debug(message, *values, extra=extra, stacklevel=2)
