"""The options of `sidecar run`: of the command line, else of the environment, else of the file."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from sidecar import environment
from sidecar.config.check import addresses
from sidecar.config.overrides import Overrides

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("auto", "json", "text")
DEFAULT_FILE: Final = Path("/etc/llm-sidecar/sidecar.yaml")
"""What is served if nothing is named, and it is there."""


class BadOption(ValueError):
    """An option or variable that makes no sense. The message names it."""


class Options(NamedTuple):
    """What was chosen, wherever."""

    sources: tuple[str, ...]
    """None: the well-known providers."""
    chosen_by: str
    """What named the sources."""
    overrides: Overrides
    log_format: str


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar run`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = "\n".join(f"  {name:19}{text}" for name, text in environment.VARIABLES.items())
    parser.epilog = f"""environment variables, over which options win, and which win over the file:
{lines}

An empty variable is as good as none. docs/operations.md has examples for containers.
"""
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="SOURCE",
        help="a file, or a URL as etcd://HOST/KEY (also consul, nacos, apollo, https, k8s); "
        f"repeated, each is laid over those before it (default: {DEFAULT_FILE} if it is there, "
        "else the built-in providers)",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="take calls here: the address of the one listener of mode reverse. 0.0.0.0 lets other "
        "machines call, with the credentials that the configuration has",
    )
    parser.add_argument(
        "--admin",
        metavar="HOST:PORT",
        help="serve the admin API at this loopback address; off: nowhere",
    )
    parser.add_argument(
        "--health",
        "--health-port",
        metavar="[HOST:]PORT",
        help="serve health and metrics here; a port alone: of all addresses; off: nowhere",
    )
    parser.add_argument("--log-level", choices=LEVELS, help="how much the log says")
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        help="of the log and the access log; auto: text on a terminal, else JSON",
    )


def chosen(
    arguments: argparse.Namespace,
    environ: Mapping[str, str] = os.environ,
    default: Path = DEFAULT_FILE,
) -> Options:
    """Return what `sidecar run` goes by. Raise BadOption, or OSError for *default*."""
    said = _Said(arguments, environ)
    admin = said("admin", environment.ADMIN, _or_off(addresses.loopback))
    health = said("health", environment.HEALTH, _or_off(_health))
    log_format = said("log_format", environment.LOG_FORMAT, _one_of(FORMATS))
    overrides = Overrides(
        listen=said("listen", environment.LISTEN, addresses.address),
        admin=_unless_off(admin),
        health=_unless_off(health and _everywhere(health)),
        log_level=said("log_level", environment.LOG_LEVEL, _one_of(LEVELS)),
        log_format=log_format,
    )
    return Options(*_sources(arguments, environ, default), overrides, log_format or "auto")


def _sources(
    arguments: argparse.Namespace, environ: Mapping[str, str], default: Path
) -> tuple[tuple[str, ...], str]:
    if arguments.config:
        return tuple(arguments.config), "--config"
    if named := environment.value(environ, environment.CONFIG):
        return tuple(named.split()), environment.CONFIG
    try:
        default.stat()
    except (FileNotFoundError, NotADirectoryError):  # any other error: it may well be there
        return (), "nothing was named"
    return (str(default),), "the usual place"


Check = Callable[[str], str | None]
"""Says what is wrong with a text, as those of `config.check`."""


class _Said(NamedTuple):
    arguments: argparse.Namespace
    environ: Mapping[str, str]

    def __call__(self, option: str, variable: str, check: Check) -> str | None:
        """What the option says, else the variable. Raise BadOption for what *check* minds."""
        name, text = f"--{option.replace('_', '-')}", getattr(self.arguments, option)
        if text is None:
            name, text = variable, environment.value(self.environ, variable)
        if text is None:
            return None
        wrong = check(text)
        if wrong is not None:
            raise BadOption(f"{name}: {wrong}")
        return str(text)


def _or_off(check: Check) -> Check:
    return lambda text: None if text == environment.OFF else check(text)


def _one_of(words: tuple[str, ...]) -> Check:
    return lambda text: None if text in words else f"expected one of {', '.join(words)}"


def _health(text: str) -> str | None:
    full = text if ":" in text else f"0.0.0.0:{text}"
    return None if addresses.parse_address(full) else "expected a port, HOST:PORT or off"


def _unless_off(text: str | None) -> str | UnsetType | None:
    if text is None:
        return UNSET
    return None if text == environment.OFF else text


def _everywhere(text: str) -> str:
    """Put all addresses before a port that stands alone, of both families if there are two."""
    if not text.isdecimal():
        return text
    return f"[::]:{text}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{text}"
