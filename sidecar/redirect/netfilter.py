"""Write and remove redirect rules with the programs of the machine: nft, or iptables."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final, Literal, Protocol

from sidecar.redirect.rules import CHAIN, TABLE, Redirect, iptables_input, nft_removal, nft_script

_FAMILIES: Final = {"iptables": 4, "ip6tables": 6}
_JUMP: Final = ("OUTPUT", "-p", "tcp", "-j", CHAIN)


class Failed(Exception):
    """A program is missing or refused; the message is its own."""


class Backend(Protocol):
    """One way to the kernel."""

    def install(self, redirect: Redirect) -> None:
        """Have exactly these rules. Raise Failed."""

    def remove(self) -> None:
        """Have none. Raise Failed."""

    def show(self) -> str:
        """The rules as the kernel has them; empty if there are none."""


class Nft:
    """nftables."""

    def usable(self) -> bool:
        """Whether the program is there, and the kernel agrees."""
        return shutil.which("nft") is not None and _run(["nft", "list", "tables"]).returncode == 0

    def install(self, redirect: Redirect) -> None:
        """In one transaction."""
        _must(["nft", "-f", "-"], nft_script(redirect))

    def remove(self) -> None:
        """In one transaction."""
        _must(["nft", "-f", "-"], nft_removal())

    def show(self) -> str:
        """Our table."""
        done = _run(["nft", "list", "table", "inet", TABLE])
        return done.stdout if done.returncode == 0 else ""


class Iptables:
    """iptables, its older kernel interface where both are there."""

    def __init__(self) -> None:
        self._programs = {
            name: version for family, version in _FAMILIES.items() if (name := _program(family))
        }

    def usable(self) -> bool:
        """Whether the programs are there, and the kernel agrees."""
        return any(self._works(name) for name in self._programs)

    def install(self, redirect: Redirect) -> None:
        """The chain in one transaction, then the jump to it unless it is there."""
        working = [name for name in self._programs if self._works(name)]
        if not working:
            raise Failed("can't use nft or iptables; this needs root or NET_ADMIN")
        for name in working:
            _must([f"{name}-restore", "--noflush"], iptables_input(redirect, self._programs[name]))
            if _run([name, "-w", "-t", "nat", "-C", *_JUMP]).returncode != 0:
                _must([name, "-w", "-t", "nat", "-A", *_JUMP])

    def remove(self) -> None:
        """The jump, as often as it is there, then the chain."""
        for name in self._programs:
            if self._rules(name):
                while _run([name, "-w", "-t", "nat", "-D", *_JUMP]).returncode == 0:
                    pass
                _must([name, "-w", "-t", "nat", "-F", CHAIN])
                _must([name, "-w", "-t", "nat", "-X", CHAIN])

    def show(self) -> str:
        """Our chains."""
        return "".join(
            f"# {name}\n{rules}" for name in self._programs if (rules := self._rules(name))
        )

    def _rules(self, name: str) -> str:
        done = _run([name, "-w", "-t", "nat", "-S", CHAIN])
        return done.stdout if done.returncode == 0 else ""

    def _works(self, name: str) -> bool:
        return _run([name, "-w", "-t", "nat", "-S", "OUTPUT"]).returncode == 0


def backend(name: Literal["auto", "nft", "iptables"]) -> Backend:
    """The one of this name; `auto`: nft where it can be used. Raise Failed if there is none."""
    nft, iptables = Nft(), Iptables()
    if name == "nft" or (name == "auto" and nft.usable()):
        return nft
    if name == "iptables" or iptables.usable():
        return iptables
    raise Failed("can't use nft or iptables; this needs root or NET_ADMIN")


def every_backend() -> list[Backend]:
    """All that can be used: rules may be left of another."""
    return [each for each in (Nft(), Iptables()) if each.usable()]


def _program(family: str) -> str | None:
    return next((name for name in (f"{family}-legacy", family) if shutil.which(name)), None)


def _must(command: list[str], given: str = "") -> None:
    done = _run(command, given)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, check=False, input=given, capture_output=True, text=True, timeout=30
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
