"""The sidecar's own log, on standard error: JSON for machines, plain lines for a terminal."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from sidecar.control.log_writer import LogWriter
from sidecar.observe import debug
from sidecar.observe.escape import escape_json, escape_text
from sidecar.observe.lines import rfc3339

LEVELS: Final = ("debug", "info", "warning", "error")

_ROOT: Final = logging.getLogger()
_OWN: Final = logging.getLogger("sidecar")
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""What every record has; all else came by `extra=`."""


def setup(level: str, stream: TextIO | None = None, *, form: str = "auto") -> None:
    """Send all logging to *stream* and set our *level*, and the *form* of lines: `json`, `text`.

    Where *stream* is None it goes to standard error, for which nothing waits then. What libraries
    log is shown from warnings on, whatever our own level.
    """
    handler: logging.Handler
    out = sys.stderr if stream is None else stream
    fd = None if stream is not None else _descriptor(out)
    if fd is not None:
        handler = LogWriter(fd)
    elif out is not None:
        handler = logging.StreamHandler(out)
    else:  # closed by the parent process
        handler = logging.NullHandler()
    human = form == "text" or (form == "auto" and out is not None and out.isatty())
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    _ROOT.handlers[:] = [handler]
    _ROOT.setLevel(logging.WARNING)
    set_level(level)


def dropped() -> int:
    """Count the lines that were lost, because standard error was not read."""
    return sum(handler.dropped for handler in _ROOT.handlers if isinstance(handler, LogWriter))


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except OSError:  # something that stands in for a file
        return None


def take_over() -> None:
    """Log what Python itself writes to standard error, and would wait for: crashes, say."""
    logging.captureWarnings(True)
    sys.excepthook = _crashed
    threading.excepthook = lambda args: _crashed(
        args.exc_type, args.exc_value, args.exc_traceback, args.thread
    )
    sys.unraisablehook = lambda args: _OWN.error(
        "%s: %r",
        args.err_msg or "an exception was ignored in",
        args.object,
        exc_info=args.exc_value,
    )


def _crashed(
    kind: type[BaseException],
    error: BaseException | None,
    traceback: TracebackType | None,
    thread: threading.Thread | None = None,
) -> None:
    name = thread.name if thread is not None else "main"
    _OWN.error("crash of the thread %s", name, exc_info=(kind, error or kind(), traceback))


def set_level(level: str) -> None:
    """Log from *level*, one of `LEVELS`, on. Raise ValueError for any other."""
    if level not in LEVELS:
        raise ValueError(f"expected one of {', '.join(LEVELS)}")
    _OWN.setLevel(level.upper())
    debug.switch(level == "debug")


def level() -> str:
    """Name the level that is logged from."""
    return logging.getLevelName(_OWN.getEffectiveLevel()).lower()


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what was logged with `extra=` are fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode *record*; a value that JSON does not know is shown as text."""
        fields = _extras(record) | {
            "time": rfc3339(record.created).decode(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        # Backslashes for what is no Unicode: a log line must not fail.
        return escape_json(msgspec.json.encode(_clean(fields), enc_hook=str).decode())


def _clean(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in fields.items()
    }


class HumanFormatter(logging.Formatter):
    """Time, level and message, then the `extra=` fields as `key=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Put the fields behind the message, before any traceback."""
        # What a message quotes may come from the network. Its lines stay: errors have several.
        record.message = "\n".join(map(escape_text, record.message.split("\n")))
        fields = (f"{key}={escape_text(str(value))}" for key, value in _extras(record).items())
        return "  ".join((super().formatMessage(record), *fields))
