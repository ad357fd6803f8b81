"""Completion for bash."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.usage.tree import Argument, Command

_SCRIPT = """\
# Completion of sidecar for bash: share/bash-completion/completions/sidecar, or source it.
_sidecar() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local path=sidecar words='' files='' word i
    COMPREPLY=()
    # "=" is a word of its own: --log-level=debug
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = && $COMP_CWORD -gt 1 ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        if [[ $word == -- ]]; then
            mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
            return
        fi
        case "$path $word" in
{steps}
        esac
    done
    case "$path $prev" in
{values}
    esac
    if [[ -z $words && -z $files ]]; then
        case $path in
{offers}
        esac
        [[ $cur == -* ]] && files=''
    elif [[ $words == - ]]; then
        return
    fi
    if [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -W "$words" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}}
complete -F _sidecar sidecar
"""


def bash(root: Command) -> str:
    """Write the script for the program *root*."""
    commands = list(root.walk())
    names = {command: " ".join(("sidecar", *command.path)) for command in commands}
    steps = [f'"{names[each]}") path="{names[each]}" ;;' for each in commands[1:]]
    values = [line for each in commands for line in _values(names[each], each)]
    offers = [f'"{names[each]}") {_offer(each)} ;;' for each in commands]
    pad = " " * 12
    return _SCRIPT.format(
        steps="\n".join(pad + line for line in steps),
        values="\n".join(pad[:8] + line for line in values),
        offers="\n".join(pad + line for line in offers),
    )


def _values(name: str, command: Command) -> Iterator[str]:
    for option in command.options:
        if option.value or option.choices:
            patterns = "|".join(f'"{name} {flag}"' for flag in option.flags)
            yield f"{patterns}) {_value(option)} ;;"


def _value(option: Argument) -> str:
    if option.files:
        return "files=1"
    return f"words='{' '.join(option.choices) or '-'}'"


def _offer(command: Command) -> str:
    words = [each.path[-1] for each in command.commands]
    words += [choice for each in command.positions for choice in each.choices]
    files = any(each.files or each.program for each in command.positions)
    return f"words='{' '.join((*words, *command.flags))}'" + (" files=1" if files else "")
