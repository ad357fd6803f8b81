"""The command line: `sidecar run`, `check`, `inject` and so on."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final

from sidecar import __version__, environment
from sidecar.usage.overview import Parser

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

OK = 0
FAILED = 1
"""The file is bad, an address is in use: the message says which."""

_ABOUT = """A sidecar proxy for LLM calls: traces, timeouts, retries and load balancing for any
application, without changing its code. Point its base URL here:

  OPENAI_BASE_URL=http://127.0.0.1:14001/v1
  ANTHROPIC_BASE_URL=http://127.0.0.1:14001
"""
_EXAMPLES = """examples:
  sidecar run                      serve the well-known providers, without a file
  sidecar run -c sidecar.yaml      serve a file, and reload it when it changes
  sidecar exec -- python app.py    run a program, with its calls through a sidecar
  sidecar check sidecar.yaml       list every mistake in a file
  sidecar explain --model gpt-4o   tell where a call would go, and why
  sidecar status                   look at the running sidecar; also top, tap, calls
  sidecar demo                     try it in front of simulated LLMs

exit codes: 0 success, 1 failure (the message says why), 2 wrong usage
"""
_MODULES: Final = {
    "budget": ("sidecar.store.ledger_command", "print what was spent of budgets"),
    "calls": ("sidecar.calls.command", "print the calls that ended last, or one of them"),
    "status": ("sidecar.terminal.status_command", "show a running sidecar on one screen"),
    "top": ("sidecar.terminal.top_command", "show routes and endpoints of a running sidecar, live"),
    "tap": ("sidecar.terminal.tap_command", "print calls as they end"),
    "explain": ("sidecar.terminal.explain_command", "tell where a call would go, and why"),
    "import": ("sidecar.importing.command", "make a configuration from another proxy's"),
    "simulate": ("sidecar.simulate.command", "serve simulated LLM endpoints"),
    "ca": ("sidecar.ca.command", "the local CA, for TLS interception"),
    "redirect": ("sidecar.redirect.command", "redirect connections to the sidecar (root)"),
}
"""Commands with a module of their own, which has their arguments and runs them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(given[:1])
    if not given:
        parser.brief()
    elif not given[0].startswith("-"):
        parser.refuse(given[0])
    parsed, unknown = parser.parse_known_args(given)
    if unknown:
        parser.refuse_arguments(given[0], unknown)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        code = command(parsed)
        print(end="", flush=True)
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:  # who read the output, as `head`, has seen enough
        from sidecar.calls.ask import give_up

        give_up()
        return OK
    return code


def _parser(named: Sequence[str]) -> Parser:
    """With the arguments of the command that is *named*: others' modules need not be imported."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("sidecar", description=_ABOUT, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=argparse.ArgumentParser
    )

    _add_serving(commands, named)
    _add_trying(commands, named)
    _add_interception(commands, named)
    _add_kubernetes(commands, named)
    _add_telling(commands)
    for each in commands._choices_actions:  # a command that says no more of itself says this
        command, text = commands.choices[each.dest], each.help or ""
        command.description = command.description or f"{text[:1].upper()}{text[1:]}."
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """Return the parser with the arguments of all commands."""
    (commands,) = (
        each for each in _parser(())._actions if isinstance(each, argparse._SubParsersAction)
    )
    return _parser(tuple(commands.choices))


def _add_modules(commands: _Commands, named: Sequence[str], *names: str) -> None:
    for name in names:
        module, text = _MODULES[name]
        parser = commands.add_parser(name, help=text)
        if name in named:
            found = import_module(module)
            found.add_arguments(parser)
            parser.set_defaults(command=found.run)


def _add_serving(commands: _Commands, named: Sequence[str]) -> None:
    run = commands.add_parser("run", help="serve calls", description="Serve calls until SIGTERM.")
    if "run" in named:
        from sidecar.options import add_run_arguments

        add_run_arguments(run)
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="list every mistake in a configuration")
    check.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="as --config of `sidecar run`; - reads standard input",
    )
    check.add_argument(
        "--offline",
        action="store_true",
        help="need no secrets: fetch nothing, and list what could not be checked",
    )
    check.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    check.set_defaults(command=_check)

    schema = commands.add_parser("schema", help="print the configuration's JSON schema")
    schema.set_defaults(command=_schema)

    ready = commands.add_parser("ready", help="exit with 0 if a sidecar is ready, else with 1")
    ready.add_argument(
        "--port",
        type=int,
        default=environment.ready_port(os.environ),
        help="admin or health port (default: %(default)s)",
    )
    ready.set_defaults(command=_ready)

    _add_modules(commands, named, "budget", "calls", "status", "top", "tap", "explain", "import")


def _add_trying(commands: _Commands, named: Sequence[str]) -> None:
    _add_modules(commands, named, "simulate")
    demo = commands.add_parser("demo", help="make a call through a sidecar to a simulated fleet")
    demo.add_argument("--once", action="store_true", help="stop after the first call")
    demo.add_argument(
        "--port", type=int, default=14001, help="port of the sidecar (default: %(default)s)"
    )
    demo.add_argument(
        "--admin-port", type=int, default=14010, help="port of its admin API (default: %(default)s)"
    )
    demo.set_defaults(command=_demo)


def _add_interception(commands: _Commands, named: Sequence[str]) -> None:
    execute = commands.add_parser("exec", help="run a program beside a sidecar")
    environment = commands.add_parser(
        "env", help="print the variables that a program needs, as shell exports"
    )
    if {"exec", "env"} & set(named):
        from sidecar.launch import command as launch

        launch.add_exec_arguments(execute)
        execute.set_defaults(command=launch.run_exec)
        launch.add_env_arguments(environment)
        environment.set_defaults(command=launch.run_env)

    _add_modules(commands, named, "ca", "redirect")


def _add_kubernetes(commands: _Commands, named: Sequence[str]) -> None:
    inject = commands.add_parser("inject", help="add the sidecar to the pods of manifests")
    uninject = commands.add_parser("uninject", help="remove it again")
    if {"inject", "uninject"} & set(named):
        from sidecar.kube import command as kube

        kube.add_inject(inject)
        kube.add_uninject(uninject)
        inject.set_defaults(command=kube.inject)
        uninject.set_defaults(command=kube.uninject)
    webhook = commands.add_parser(
        "webhook", help="add the sidecar to the pods of a cluster as they are created"
    )
    if "webhook" in named:
        from sidecar.kube import webhook_command as serve

        serve.add_arguments(webhook)
        webhook.set_defaults(command=_webhook)


def _add_telling(commands: _Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print the completion script of a shell",
        description="Print a script that completes commands and options: "
        "`source <(sidecar completion bash)`.",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    completion.set_defaults(command=_completion)
    man = commands.add_parser(
        "man",
        help="print the man page",
        description="Print the man page: `sidecar man | man -l -`.",
    )
    man.set_defaults(command=_man)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(command=_print_version)


def _run(arguments: argparse.Namespace) -> int:
    from sidecar.run import run

    return run(arguments)


def _webhook(arguments: argparse.Namespace) -> int:
    from sidecar.control import logs
    from sidecar.kube import webhook_command as serve

    logs.setup("info")
    return serve.run(arguments)


def _ready(arguments: argparse.Namespace) -> int:
    from sidecar.ready import ready

    why = ready(arguments.port)
    if why:
        print(f"sidecar ready: {why}", file=sys.stderr)
    return FAILED if why else OK


def _check(arguments: argparse.Namespace) -> int:
    from sidecar.check import check

    return check(arguments.sources, offline=arguments.offline, strict=arguments.strict)


def _schema(_: argparse.Namespace) -> int:
    import msgspec

    from sidecar.config.schema import schema

    print(msgspec.json.format(msgspec.json.encode(schema())).decode())
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    from sidecar.demo import demo

    return demo(port=arguments.port, admin=arguments.admin_port, once=arguments.once)


def _completion(arguments: argparse.Namespace) -> int:
    print(completion(arguments.shell), end="")
    return OK


def completion(shell: str) -> str:
    """Return the script for *shell*: bash, zsh or fish."""
    from sidecar.usage.bash import bash
    from sidecar.usage.fish import fish
    from sidecar.usage.tree import tree
    from sidecar.usage.zsh import zsh

    return {"bash": bash, "fish": fish, "zsh": zsh}[shell](tree(whole_parser()))


def _man(_: argparse.Namespace) -> int:
    print(man_page(), end="")
    return OK


def man_page() -> str:
    """Return sidecar(1)."""
    from sidecar.options import DEFAULT_FILE
    from sidecar.usage.man import man
    from sidecar.usage.tree import tree

    files = {str(DEFAULT_FILE): "The configuration, if none is named."}
    return man(tree(whole_parser()), __version__, environment.VARIABLES, files)


def _version() -> str:
    return f"llm-sidecar {__version__} (Python {platform.python_version()})"


def _print_version(_: argparse.Namespace) -> int:
    print(_version())
    return OK


if __name__ == "__main__":
    sys.exit(main())
