"""The man page: sidecar(1), in the macros of man(7)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sidecar.usage.tree import Argument, Command

_WIDTH: Final = 72
_EXITS: Final = (
    ("0", "Success."),
    ("1", "Failure; the message says why."),
    ("2", "Wrong usage, or an option that makes no sense."),
)


def man(root: Command, version: str, variables: Mapping[str, str], files: Mapping[str, str]) -> str:
    """Write the page of the program *root*. *variables* and *files* have a text for each name."""
    lines = [
        # No date: the same page whenever it is made.
        f'.TH SIDECAR 1 "" "llm-sidecar {version}" "User Commands"',
        ".SH NAME",
        r"sidecar \- a sidecar proxy for LLM calls",
        ".SH SYNOPSIS",
        ".B sidecar",
        r"\fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *list(_prose(root.about))[1:],
        ".SH COMMANDS",
    ]
    for command in root.walk():
        if command.path:
            lines += _command(command)
    lines += [".SH ENVIRONMENT", *_list(variables.items())]
    lines += [".SH FILES", *_list(files.items())]
    lines += [".SH EXIT STATUS", *_list(_EXITS)]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_escaped(' '.join(('sidecar', *command.path)))}"
    about = command.about or f"{command.help[:1].upper()}{command.help[1:]}."
    yield from list(_prose(about))[1:]  # a heading begins a paragraph
    for argument in (*command.positions, *command.options):
        if argument.flags != ("-h", "--help"):
            yield ".TP"
            yield _heading(argument)
            yield from _wrapped(argument.help or "See above.")


def _heading(argument: Argument) -> str:
    value = argument.value or "|".join(argument.choices)
    shown = rf"\fI{_escaped(value)}\fR" if value else ""
    flags = ", ".join(rf"\fB{_escaped(flag)}\fR" for flag in argument.flags)
    return " ".join(filter(None, (flags, shown)))


def _list(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in entries:
        yield from (".TP", rf"\fB{_escaped(name)}\fR", *_wrapped(text))


def _prose(text: str) -> Iterator[str]:
    """Paragraphs; one with an indented line stays as it is."""
    for block in re.split(r"\n[ \t]*\n", text):
        yield ".PP"
        if re.search(r"^ ", block, re.MULTILINE):
            yield from (".nf", *map(_escaped, block.split("\n")), ".fi")
        else:
            yield from _wrapped(block)


def _wrapped(text: str) -> Iterator[str]:
    """Lines of a length that people can edit; the reader's program fills them anew."""
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return map(_escaped, lines)


def _escaped(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^(?=[.'])", r"\\&", text)
