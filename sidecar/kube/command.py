"""`sidecar inject` and `sidecar uninject`: manifests in, manifests out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from sidecar.kube import patch
from sidecar.kube.manifests import BadManifest, Change, rewrite
from sidecar.kube.settings import BadSettings, Settings, changed

Tree = dict[str, Any]

LEVELS = ("privileged", "baseline", "restricted")
"""Of PodSecurity. Only the first lets a pod have NET_ADMIN."""


def add_inject(parser: argparse.ArgumentParser) -> None:
    """Say what `sidecar inject` takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="manifests; - reads standard input"
    )
    add_settings(parser)
    parser.add_argument(
        "--pod-security",
        choices=LEVELS,
        default="privileged",
        help="PodSecurity level that the namespace enforces (default: %(default)s)",
    )


def add_uninject(parser: argparse.ArgumentParser) -> None:
    """Say what `sidecar uninject` takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="manifests; - reads standard input"
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """How pods get the sidecar, unless their annotations say otherwise."""
    parser.add_argument(
        "--defaults",
        type=Path,
        metavar="FILE",
        help="YAML file of settings, with the names of the annotations",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set one setting; can be repeated",
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that `add_settings` has taken. Raise BadSettings or OSError."""
    given: dict[str, object] = {}
    if arguments.defaults is not None:
        given = _mapping(arguments.defaults)
    for pair in arguments.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadSettings([f"{pair}: expected NAME=VALUE"])
        given[name] = value
    return changed(Settings(), given)


def _mapping(file: Path) -> dict[str, object]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSettings([f"{file}: {error}"]) from error
    if not isinstance(tree, dict):
        raise BadSettings([f"{file}: expected a mapping of settings"])
    return {str(name): value for name, value in tree.items()}


def inject(arguments: argparse.Namespace) -> int:
    """Write the manifests with the sidecar in their pods; 1 when one can't be read."""
    try:
        settings = settings_of(arguments)
    except (BadSettings, OSError) as error:
        return _failed("inject", error)
    no_net_admin = arguments.pod_security != "privileged"

    def change(pod: Tree) -> tuple[Tree, list[str]]:
        try:
            made = patch.inject(pod, settings, no_net_admin=no_net_admin)
        except patch.Skipped as skipped:
            return pod, [f"skipped: {skipped}"]
        return made.pod, made.warnings

    return _rewrite("inject", arguments.files, change)


def uninject(arguments: argparse.Namespace) -> int:
    """Write the manifests without what `inject` has added; 1 when one can't be read."""
    return _rewrite("uninject", arguments.files, lambda pod: (patch.uninject(pod), []))


def _rewrite(command: str, files: list[str], change: Change) -> int:
    written = []
    for name in files:
        try:
            made, remarks = rewrite(_text(name), change)
        except (BadManifest, OSError) as error:
            return _failed(command, error, name)
        written.append(made)
        for remark in remarks:
            sys.stderr.write(f"{name}: {remark}\n")
    return _write(_joined(written))


def _text(name: str) -> str:
    """What a file holds, with its line ends. Raise OSError or BadManifest."""
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadManifest(f"line {line}: not UTF-8 text") from error


def _write(text: str) -> int:
    """Whoever reads standard output may have seen enough."""
    try:
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _joined(texts: list[str]) -> str:
    """One stream of documents."""
    made = texts[0]
    for text in texts[1:]:
        made += "" if made.endswith("\n") else "\n"
        made += text if text.startswith("---") else f"---\n{text}"
    return made


def _failed(command: str, error: Exception, name: str = "") -> int:
    said = error.strerror if isinstance(error, OSError) else str(error)
    sys.stderr.write(f"sidecar {command}: {f'{name}: ' if name else ''}{said}\n")
    return 1
