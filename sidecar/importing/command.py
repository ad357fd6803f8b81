"""`sidecar import litellm FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import yaml

from sidecar.config.problems import ConfigErrors
from sidecar.importing.litellm import Imported, NotLiteLLM, imported
from sidecar.importing.values import read

_HEAD: Final = """\
# Made of {file}, a configuration of LiteLLM's proxy, by `sidecar import litellm`.
# Callers keep their base URL, which must end in /v1. Check it: sidecar check --offline {made}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
    formats = parser.add_subparsers(title="formats", metavar="FORMAT", required=True)
    litellm = formats.add_parser(
        "litellm",
        help="the file of LiteLLM's proxy (config.yaml)",
        description="Print a configuration that serves the models of LiteLLM's file. What has no "
        "counterpart is told on standard error and in comments.",
    )
    litellm.add_argument("file", metavar="FILE", help="- reads standard input")
    litellm.add_argument(
        "-o", "--output", metavar="FILE", help="write here, not to standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration; return the exit code."""
    file = arguments.file
    shown = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        made = imported(read(text, shown))
    except (OSError, UnicodeDecodeError) as error:
        return _failed(file, str(getattr(error, "strerror", None) or error))
    except ConfigErrors as errors:
        sys.stderr.write(f"{errors}\n")
        return 1
    except NotLiteLLM as error:
        return _failed(file, str(error))
    written = written_as(made, shown, arguments.output)
    for note in made.notes:
        sys.stderr.write(f"sidecar: note: {note}\n")
    if arguments.output is None:
        sys.stdout.write(written)
        return 0
    try:
        Path(arguments.output).write_text(written, "utf-8")
    except OSError as error:
        return _failed(arguments.output, str(error.strerror or error))
    return 0


def written_as(made: Imported, file: str, output: str | None) -> str:
    """Return the text of the configuration, with the notes as comments."""
    head = _HEAD.format(file=file, made=output or "sidecar.yaml")
    notes = "".join(f"# - {line}\n" for note in made.notes for line in note.splitlines())
    if notes:
        head += f"# To be known:\n{notes}"
    return f"{head}\n{yaml.dump(made.config, Dumper=_Plain, sort_keys=False, width=100)}"


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice: anchors with made-up names help nobody."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _float(dumper: _Plain, value: float) -> yaml.Node:
    """Write no exponents: we don't read them."""
    text = f"{value:.6f}".rstrip("0")
    return dumper.represent_scalar(
        "tag:yaml.org,2002:float", f"{text}0" if text[-1] == "." else text
    )


_Plain.add_representer(float, _float)


def _failed(file: str, why: str) -> int:
    sys.stderr.write(f"sidecar import: {file}: {why}\n")
    return 1
