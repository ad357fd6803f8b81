"""What `sidecar --help` says of all commands, and `sidecar` alone of the most useful ones."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from typing import Final

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "serve": ("run", "exec", "env"),
    "write a configuration": ("check", "explain", "import", "schema"),
    "look at a running sidecar": ("status", "top", "tap", "calls", "ready", "budget"),
    "try it": ("demo", "simulate"),
    "intercept": ("ca", "redirect"),
    "Kubernetes": ("inject", "uninject", "webhook"),
}
"""Commands by purpose; those that are in none come last."""
_REST: Final = "other"
_BRIEF: Final = """usage: sidecar COMMAND ...

  sidecar demo                     try it in front of simulated LLMs
  sidecar run -c sidecar.yaml      serve a configuration file
  sidecar exec -- python app.py    run a program, with its calls through a sidecar
  sidecar status                   look at the running sidecar; also top, tap, calls
  sidecar explain --model gpt-4o   where would this call go?

`sidecar --help` lists all commands, `sidecar COMMAND --help` explains one.
"""
_LIKE: Final = 0.6


class Parser(argparse.ArgumentParser):
    """The parser of `sidecar` itself; those of its commands are ordinary ones."""

    def format_help(self) -> str:
        """Return the help, with commands by purpose."""
        return "\n".join(
            [
                self.format_usage(),
                f"{(self.description or '').rstrip()}\n",
                *_sections(_commands(self)),
                "options:",
                "  -h, --help  show this help, or with a command before it, that command's",
                "  --version   show the version\n",
                (self.epilog or "").rstrip(),
                "",
            ]
        )

    def refuse(self, word: str) -> None:
        """Exit with 2 if *word* is no command, and name the one that may be meant."""
        known = [name for name, _ in _commands(self)]
        if word in known:
            return
        meant = get_close_matches(word, known, 1, _LIKE)
        guess = f"did you mean `sidecar {meant[0]}`?" if meant else "`sidecar --help` lists them"
        self.error(f"there is no command {word!r}; {guess}")

    def refuse_arguments(self, command: str, unknown: list[str]) -> None:
        """Exit with 2 and the usage of *command*, which does not take what is *unknown*."""
        (commands,) = (
            each for each in self._actions if isinstance(each, argparse._SubParsersAction)
        )
        parser: argparse.ArgumentParser = commands.choices.get(command, self)
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")

    def brief(self) -> None:
        """Say what to do, and exit with 2: no command was given."""
        self.exit(2, _BRIEF)


def _commands(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    """List the commands with what they do."""
    return [
        (each.dest, each.help or "")
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for each in action._choices_actions
    ]


def _sections(commands: list[tuple[str, str]]) -> list[str]:
    told = dict(commands)
    grouped = {name for names in GROUPS.values() for name in names}
    groups = GROUPS | {_REST: tuple(name for name in told if name not in grouped)}
    lines = []
    for heading, names in groups.items():
        lines.append(f"{heading}:")
        lines += [f"  {name:<11} {told[name]}" for name in names]
        lines.append("")
    return lines
