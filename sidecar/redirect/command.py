"""`sidecar redirect`: have the kernel redirect connections to the sidecar, and undo it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from sidecar.redirect.check import check
from sidecar.redirect.netfilter import Failed, backend, every_backend
from sidecar.redirect.rules import Ports, Redirect, networks, nft_script

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = commands.add_parser("install", help="install the rules, replacing earlier ones")
    _add_what(install)
    install.add_argument("--dry-run", action="store_true", help="only print the rules, for nft")
    install.set_defaults(action=_install)
    commands.add_parser("remove", help="remove the rules, if there are any").set_defaults(
        action=_remove
    )
    commands.add_parser("show", help="print the rules that are installed").set_defaults(
        action=_show
    )
    proof = commands.add_parser(
        "check", help="make connections, and check that they are redirected"
    )
    _add_what(proof)
    proof.set_defaults(action=_check)


def _add_what(parser: argparse.ArgumentParser) -> None:
    usual = Redirect()
    parser.add_argument(
        "--to",
        type=int,
        default=usual.to,
        metavar="PORT",
        help="port of the capture listener (default: %(default)s)",
    )
    parser.add_argument(
        "--uid",
        type=_list(int),
        default=usual.uids,
        metavar="UIDS",
        help="users whose connections are not redirected: the sidecar's (default: 1414)",
    )
    parser.add_argument(
        "--only-uid", type=_list(int), default=(), metavar="UIDS", help="redirect these users only"
    )
    parser.add_argument(
        "--ports",
        type=_list(Ports.parse),
        default=usual.ports,
        help="remote ports to redirect, like 443,8000-8010 (default: 443)",
    )
    parser.add_argument("--exclude-ports", type=_list(Ports.parse), default=(), metavar="PORTS")
    parser.add_argument(
        "--cidrs", type=networks, default=(), metavar="CIDRS", help="redirect these networks only"
    )
    parser.add_argument("--exclude-cidrs", type=networks, default=(), metavar="CIDRS")
    parser.add_argument("--backend", choices=("auto", "nft", "iptables"), default="auto")


def _list(each: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(text: str) -> tuple[T, ...]:
        return tuple(each(part.strip()) for part in text.split(",") if part.strip())

    parse.__name__ = "list"  # argparse says "invalid list value"
    return parse


def run(arguments: argparse.Namespace) -> int:
    """Do it. 1 when it can't be done, or a check fails."""
    action: Callable[[argparse.Namespace], int] = arguments.action
    try:
        return action(arguments)
    except (Failed, OSError) as error:
        print(f"sidecar redirect: {error}", file=sys.stderr)
        return 1


def wanted(arguments: argparse.Namespace) -> Redirect:
    """What the arguments ask for."""
    return Redirect(
        to=arguments.to,
        uids=arguments.uid,
        only_uids=arguments.only_uid,
        ports=arguments.ports,
        exclude_ports=arguments.exclude_ports,
        cidrs=arguments.cidrs,
        exclude_cidrs=arguments.exclude_cidrs,
    )


def _install(arguments: argparse.Namespace) -> int:
    redirect = wanted(arguments)
    if arguments.dry_run:
        print(nft_script(redirect), end="")
        return 0
    chosen = backend(arguments.backend)
    for other in every_backend():  # what another left would redirect as well
        if type(other) is not type(chosen):
            other.remove()
    chosen.install(redirect)
    print(chosen.show(), end="")
    return 0


def _remove(_: argparse.Namespace) -> int:
    backends = every_backend()
    if not backends:
        raise Failed("can't use nft or iptables; this needs root or NET_ADMIN")
    for each in backends:
        each.remove()
    return 0


def _show(_: argparse.Namespace) -> int:
    found = "".join(each.show() for each in every_backend())
    print(found or "no rules", end="" if found else "\n")
    return 0 if found else 1


def _check(arguments: argparse.Namespace) -> int:
    redirect = wanted(arguments)
    user = redirect.only_uids[0] if redirect.only_uids else os.geteuid()
    if os.geteuid() != 0:
        raise Failed("check makes connections as other users: it needs root")
    results = list(check(redirect.ports[0].first, redirect.to, redirect.uids[0], user))
    for result in results:
        print(("ok    " if result.good else "wrong ") + result.text)
    return 0 if all(result.good for result in results) else 1
