"""`sidecar exec -- CMD` and `sidecar env`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.calls.ask import add_admin
from sidecar.config.load import ConfigErrors
from sidecar.launch import child
from sidecar.launch.running import GROUP, NotRunning, Running, find, started
from sidecar.launch.summary import read, summary
from sidecar.launch.variables import Mode, variables
from sidecar.redirect.netfilter import Backend, Failed, backend
from sidecar.redirect.rules import Redirect

if TYPE_CHECKING:
    from sidecar.ca.trust import Trust

FAILED = 1


def add_exec_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar exec`."""
    _add_mode(parser)
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration of the sidecar that is started",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print no summary at the end")
    parser.add_argument(
        "program", nargs="+", metavar="CMD", help="the program and its arguments, after `--`"
    )


def add_env_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar env`."""
    _add_mode(parser)


def _add_mode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=("base-url", "proxy", "capture"),
        default="base-url",
        help="how calls reach the sidecar (default: %(default)s); capture needs root",
    )
    add_admin(parser)


def run_env(arguments: argparse.Namespace) -> int:
    """Print shell exports for the sidecar that runs."""
    try:
        sidecar = find(arguments.admin)
        trust = None if arguments.mode == "base-url" else _trust(sidecar, _kept_folder())
        found = _variables(arguments.mode, sidecar, trust)
    except (NotRunning, OSError) as error:
        print(f"sidecar env: {error}", file=sys.stderr)
        return FAILED
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def run_exec(arguments: argparse.Namespace) -> int:
    """Run a program beside a sidecar. Its exit code; 1 when it could not be started."""
    with (
        tempfile.TemporaryDirectory(prefix="llm-sidecar-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        folder.chmod(0o755)  # the program may run as another user than we
        try:
            sidecar = stack.enter_context(_sidecar(arguments, folder))
            trust = None if arguments.mode == "base-url" else _trust(sidecar, folder)
            found = _variables(arguments.mode, sidecar, trust)
            if arguments.mode == "capture":
                stack.enter_context(_captured(sidecar))
        except ConfigErrors as errors:
            print(errors, file=sys.stderr)
            return FAILED
        except (NotRunning, Failed, OSError) as error:
            print(f"sidecar exec: {error}", file=sys.stderr)
            return FAILED
        before = read(sidecar.metrics())
        code = child.run(arguments.program, {**os.environ, **found})
        if not arguments.quiet:
            _tell(sidecar, before)
        return code


@contextlib.contextmanager
def _sidecar(arguments: argparse.Namespace, folder: Path) -> Iterator[Running]:
    there = None
    if arguments.config is None:
        with contextlib.suppress(NotRunning):
            there = find(arguments.admin)
    if there is not None:
        yield there
        return
    group = GROUP if arguments.mode == "capture" and os.geteuid() == 0 else None
    state = folder / "state"
    state.mkdir()
    with started(state, arguments.config, group) as sidecar:
        yield sidecar


def _variables(mode: Mode, sidecar: Running, trust: Trust | None) -> dict[str, str]:
    try:
        found = variables(mode, sidecar.addresses, trust, os.environ)
    except LookupError as error:
        raise NotRunning(f"the sidecar at {sidecar.admin} has no listener for {mode}") from error
    for name, value in found.items():
        old = os.environ.get(name)
        if old and old != value and (name.endswith("_BASE_URL") or name == "HTTPS_PROXY"):
            print(f"sidecar: {name} was {old}, and is now {value}", file=sys.stderr)
    return found


def _trust(sidecar: Running, folder: Path) -> Trust | None:
    """Write what programs need to trust the sidecar's CA, besides all that they trust now."""
    if sidecar.ca is None:
        return None
    from sidecar.ca.trust import write_trust

    return write_trust(sidecar.ca.encode(), folder, os.environ)


def _kept_folder() -> Path:
    """For files that outlive us: `trust`, beside this user's CA."""
    from sidecar.ca.folder import default_folder, make_private

    folder = default_folder().parent / "trust"
    make_private(folder)
    return folder


@contextlib.contextmanager
def _captured(sidecar: Running) -> Iterator[None]:
    """Redirect this user's connections to port 443 while the block lasts."""
    port = int(sidecar.addresses["capture"].rpartition(":")[2])
    rules: Backend = backend("auto")
    if rules.show():
        raise Failed("there are redirect rules already; `sidecar redirect remove` removes them")
    try:
        rules.install(Redirect(to=port, gids=(GROUP,), only_uids=(os.getuid(),)))
        yield
    finally:
        rules.remove()


def _tell(sidecar: Running, before: Mapping[tuple[str, str], float]) -> None:
    try:
        told = summary(before, read(sidecar.metrics()))
        print(f"sidecar: {told}".replace("\n", "\n         "), file=sys.stderr)
    except OSError as error:
        print(f"sidecar: no summary, the sidecar does not answer: {error}", file=sys.stderr)
