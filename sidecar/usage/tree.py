"""The commands of an argparse parser, as a tree of what a writer needs to know."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final, NamedTuple

_FILES: Final = ("FILE", "SOURCE", "PATH", "FOLDER", "LEDGER")
"""Metavars of what is, or may be, in the file system."""
_PROGRAM: Final = "CMD"


class Argument(NamedTuple):
    """An option, or what stands without one."""

    flags: tuple[str, ...]
    """None: it has a position."""
    value: str
    """What it takes, as `HOST:PORT`; empty if it takes nothing."""
    choices: tuple[str, ...]
    help: str

    @property
    def files(self) -> bool:
        """Whether it takes files."""
        return not self.choices and self.value.strip("[].").split(" ")[0] in _FILES

    @property
    def program(self) -> bool:
        """Whether it is a program with its arguments."""
        return not self.flags and self.value == _PROGRAM


class Command(NamedTuple):
    """A command, or the program itself."""

    path: tuple[str, ...]
    help: str
    about: str
    options: tuple[Argument, ...]
    positions: tuple[Argument, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """Yield it and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()

    @property
    def flags(self) -> tuple[str, ...]:
        """Of all its options."""
        return tuple(flag for option in self.options for flag in option.flags)


def tree(parser: argparse.ArgumentParser, path: tuple[str, ...] = (), help: str = "") -> Command:
    """Read *parser*. argparse has no public way to look at one; its names have long been stable."""
    formatter = parser._get_formatter()
    options, positions, commands = list[Argument](), list[Argument](), list[Command]()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            commands += [
                tree(each, (*path, name), helps.get(name, ""))
                for name, each in action.choices.items()
            ]
        elif action.help != argparse.SUPPRESS:
            told = formatter._expand_help(action) if action.help else ""
            (options if action.option_strings else positions).append(_argument(action, told))
    about = (parser.description or "").strip("\n")
    return Command(path, help, about, tuple(options), tuple(positions), tuple(commands))


def _argument(action: argparse.Action, told: str) -> Argument:
    value = ""
    if action.nargs != 0:
        name = action.metavar if isinstance(action.metavar, str) else None
        value = name or (action.dest.upper().replace("_", "-") if not action.choices else "")
    choices = tuple(map(str, action.choices or ()))
    return Argument(tuple(action.option_strings), value, choices, " ".join(told.split()))
