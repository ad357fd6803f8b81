"""Rules that make the kernel redirect connections to the sidecar. Pure: what they are, as text.

They stand in the nat table's output hook: connections that this machine (or pod) makes itself, in
order: not the sidecar's own, or it would capture itself; not those that stay on the machine; not
what is excluded; then the ports that are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

TABLE: Final = "llm_sidecar"
CHAIN: Final = "LLM_SIDECAR"
_MULTIPORT: Final = 15
"""Ports in one rule of iptables; a range counts twice (iptables-extensions(8))."""

_PORTS: Final = re.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?").fullmatch

Network = IPv4Network | IPv6Network


class Ports(NamedTuple):
    """From the first to the last."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Ports:
        """`443` or `8000-8010`. Raise ValueError for anything else."""
        found = _PORTS(text)
        if found is not None:
            ports = cls(int(found[1]), int(found[2] or found[1]))
            if 0 < ports.first <= ports.last < 65536:
                return ports
        raise ValueError(f"not a port or a range of ports: {text!r}")

    def text(self, between: str) -> str:
        """As it was written, with *between* in the middle."""
        return str(self.first) if self.first == self.last else f"{self.first}{between}{self.last}"


class Redirect(NamedTuple):
    """What is redirected where."""

    to: int = 14003
    """The capture listener's port."""
    uids: tuple[int, ...] = (1414,)
    """Users whose connections are not redirected: the sidecar's."""
    gids: tuple[int, ...] = ()
    """Groups whose connections are not redirected either."""
    only_uids: tuple[int, ...] = ()
    """If not empty: the only users whose connections are redirected."""
    ports: tuple[Ports, ...] = (Ports(443, 443),)
    exclude_ports: tuple[Ports, ...] = ()
    cidrs: tuple[Network, ...] = ()
    """If not empty: the only networks whose connections are redirected."""
    exclude_cidrs: tuple[Network, ...] = ()


def networks(text: str) -> tuple[Network, ...]:
    """A list with commas. Raise ValueError for what is no network."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def nft_script(redirect: Redirect) -> str:
    """For `nft -f`, in one transaction: whatever our table was, it is this one afterwards."""
    rules = "\n".join(f"    {rule}" for rule in _nft_rules(redirect))
    chain = (
        f"  chain output {{\n    type nat hook output priority -100; policy accept;\n{rules}\n  }}"
    )
    return f"{nft_removal()}table inet {TABLE} {{\n{chain}\n}}\n"


def nft_removal() -> str:
    """For `nft -f`: our table is gone afterwards, whether it was there or not."""
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def _nft_rules(redirect: Redirect) -> Iterator[str]:
    yield f"meta skuid {_set(redirect.uids)} return"
    if redirect.gids:
        yield f"meta skgid {_set(redirect.gids)} return"
    if redirect.only_uids:
        yield f"meta skuid != {_set(redirect.only_uids)} return"
    yield 'oifname "lo" return'
    yield "fib daddr type local return"
    for family, excluded in _by_family(redirect.exclude_cidrs):
        yield f"{family} daddr {_set(excluded)} return"
    if redirect.exclude_ports:
        yield f"tcp dport {_nft_ports(redirect.exclude_ports)} return"
    what = f"tcp dport {_nft_ports(redirect.ports)} redirect to :{redirect.to}"
    if not redirect.cidrs:
        yield what
    for family, wanted in _by_family(redirect.cidrs):
        yield f"{family} daddr {_set(wanted)} {what}"


def _set(values: Iterable[object]) -> str:
    return "{ " + ", ".join(map(str, values)) + " }"


def _nft_ports(ports: Iterable[Ports]) -> str:
    return _set(each.text("-") for each in ports)


def _by_family(given: tuple[Network, ...]) -> Iterator[tuple[str, list[Network]]]:
    for version, name in ((4, "ip"), (6, "ip6")):
        if found := [network for network in given if network.version == version]:
            yield name, found


def iptables_input(redirect: Redirect, version: int) -> str:
    """For `iptables-restore --noflush` (*version* 4) or `ip6tables-restore` (6).

    Naming the chain empties it, so that it has exactly these rules afterwards.
    """
    rules = "\n".join(f"-A {CHAIN} {rule}" for rule in _iptables_rules(redirect, version))
    return f"*nat\n:{CHAIN} - [0:0]\n{rules}\nCOMMIT\n"


def _iptables_rules(redirect: Redirect, version: int) -> Iterator[str]:
    for uid in redirect.uids:
        yield f"-m owner --uid-owner {uid} -j RETURN"
    for gid in redirect.gids:
        yield f"-m owner --gid-owner {gid} -j RETURN"
    yield "-o lo -j RETURN"
    yield "-m addrtype --dst-type LOCAL -j RETURN"
    for network in _of(redirect.exclude_cidrs, version):
        yield f"-d {network} -j RETURN"
    for ports in _groups(redirect.exclude_ports):
        yield f"-p tcp {ports} -j RETURN"
    for where in _where(redirect, version):
        for who in [f"-m owner --uid-owner {uid} " for uid in redirect.only_uids] or [""]:
            for ports in _groups(redirect.ports):
                yield f"-p tcp {where}{who}{ports} -j REDIRECT --to-ports {redirect.to}"


def _of(given: tuple[Network, ...], version: int) -> list[Network]:
    return [network for network in given if network.version == version]


def _where(redirect: Redirect, version: int) -> list[str]:
    if not redirect.cidrs:
        return [""]
    return [f"-d {network} " for network in _of(redirect.cidrs, version)]


def _groups(ports: tuple[Ports, ...]) -> Iterator[str]:
    """Matches that together take all *ports*."""
    group: list[str] = []
    size = 0
    for each in ports:
        cost = 1 if each.first == each.last else 2
        if size + cost > _MULTIPORT:
            yield _multiport(group)
            group, size = [], 0
        group.append(each.text(":"))
        size += cost
    if group:
        yield _multiport(group)


def _multiport(group: list[str]) -> str:
    return f"-m multiport --dports {','.join(group)}"
