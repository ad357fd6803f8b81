"""Completion for zsh."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.usage.tree import Argument, Command


def zsh(root: Command) -> str:
    """Write the script for the program *root*."""
    head = "#compdef sidecar\n# Completion of sidecar for zsh: share/zsh/site-functions/_sidecar\n"
    functions = (text for command in root.walk() for text in _function(command))
    return f'{head}\n{"".join(functions)}\n_sidecar "$@"\n'


def _function(command: Command) -> Iterator[str]:
    name = _name(command)
    arguments = [_option(option) for option in command.options]
    if not command.commands:
        arguments += [_position(each) for each in command.positions]
        yield f"{name}() {{\n    _arguments -s{_joined(arguments)}\n}}\n"
        return
    arguments += [f"'1:command:{name}_commands'", "'*::argument:->arguments'"]
    cases = "".join(f"        {each.path[-1]}) {_name(each)} ;;\n" for each in command.commands)
    offers = _joined([_quoted(f"{each.path[-1]}:{each.help}") for each in command.commands])
    yield f"""{name}_commands() {{
    local -a commands=({offers}
    )
    _describe command commands
}}
{name}() {{
    local curcontext=$curcontext state line
    _arguments -C{_joined(arguments)}
    [[ $state == arguments ]] || return
    case $words[1] in
{cases}    esac
}}
"""


def _joined(arguments: list[str]) -> str:
    return "".join(f" \\\n        {each}" for each in arguments)


def _name(command: Command) -> str:
    return "_".join(("_sidecar", *command.path))


def _option(option: Argument) -> str:
    told = _escaped(option.help, "[]")
    value = ""
    if option.value or option.choices:
        value = f":{_escaped(option.value or 'value', ':')}:{_action(option)}"
    flags = option.flags
    if len(flags) == 1:
        sign = "=" if value and flags[0].startswith("--") else ""
        return _quoted(f"{flags[0]}{sign}[{told}]{value}")
    shut = " ".join(flags)
    spelt = ",".join(f"{each}{'=' if value and each.startswith('--') else ''}" for each in flags)
    return f"'({shut})'{{{spelt}}}{_quoted(f'[{told}]{value}')}"


def _position(position: Argument) -> str:
    if position.program:
        return "'*::program:_normal'"
    return _quoted(f"*:{_escaped(position.value or 'value', ':')}:{_action(position)}")


def _action(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return "_files" if argument.files else " "


def _escaped(text: str, signs: str) -> str:
    for sign in "\\" + signs:
        text = text.replace(sign, f"\\{sign}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
