"""Completion for fish."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.usage.tree import Argument, Command


def fish(root: Command) -> str:
    """Write the script for the program *root*."""
    return "\n".join(
        [
            "# Completion of sidecar for fish: share/fish/vendor_completions.d/sidecar.fish",
            "complete -c sidecar -f",
            *(line for command in root.walk() for line in _lines(command)),
            "",
        ]
    )


def _lines(command: Command) -> Iterator[str]:
    start = f"complete -c sidecar -n {_quoted(_condition(command))}"
    for each in command.commands:
        yield f"{start} -a {each.path[-1]} -d {_quoted(each.help)}"
    start = f"complete -c sidecar -n {_quoted(_condition(command, below=True))}"
    for position in command.positions:
        if position.choices:
            yield f"{start} -a {_quoted(' '.join(position.choices))}"
        elif position.files or position.program:
            yield f"{start} -F"
    for option in command.options:
        flags = " ".join(_flag(flag) for flag in option.flags)
        yield f"{start} {flags}{_takes(option)} -d {_quoted(option.help)}"


def _condition(command: Command, *, below: bool = False) -> str:
    """Whether this command is being written; *below*: or one of those below it."""
    if not command.path:
        return "__fish_use_subcommand"
    parts = [f"__fish_seen_subcommand_from {name}" for name in command.path]
    if command.commands and not below:
        names = " ".join(each.path[-1] for each in command.commands)
        parts.append(f"not __fish_seen_subcommand_from {names}")
    return "; and ".join(parts)


def _flag(flag: str) -> str:
    return f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"


def _takes(option: Argument) -> str:
    if option.choices:
        return f" -x -a {_quoted(' '.join(option.choices))}"
    if option.value:
        return " -r -F" if option.files else " -x"
    return ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
