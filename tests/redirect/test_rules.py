"""The rules as text, for nft and for iptables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.redirect.rules import (
    Ports,
    Redirect,
    iptables_input,
    networks,
    nft_removal,
    nft_script,
)

FULL = Redirect(
    to=15003,
    uids=(1414, 1415),
    gids=(7,),
    only_uids=(1000,),
    ports=(Ports(443, 443), Ports(8000, 8010)),
    exclude_ports=(Ports(8001, 8001),),
    cidrs=networks("0.0.0.0/0,::/0"),
    exclude_cidrs=networks("10.0.0.0/8, fd00::/8"),
)


def test_nft() -> None:
    assert nft_script(FULL) == (
        "table inet llm_sidecar\n"
        "delete table inet llm_sidecar\n"
        "table inet llm_sidecar {\n"
        "  chain output {\n"
        "    type nat hook output priority -100; policy accept;\n"
        "    meta skuid { 1414, 1415 } return\n"
        "    meta skgid { 7 } return\n"
        "    meta skuid != { 1000 } return\n"
        '    oifname "lo" return\n'
        "    fib daddr type local return\n"
        "    ip daddr { 10.0.0.0/8 } return\n"
        "    ip6 daddr { fd00::/8 } return\n"
        "    tcp dport { 8001 } return\n"
        "    ip daddr { 0.0.0.0/0 } tcp dport { 443, 8000-8010 } redirect to :15003\n"
        "    ip6 daddr { ::/0 } tcp dport { 443, 8000-8010 } redirect to :15003\n"
        "  }\n"
        "}\n"
    )
    assert nft_script(Redirect()).startswith(nft_removal())


def test_iptables() -> None:
    assert iptables_input(FULL, 4) == (
        "*nat\n"
        ":LLM_SIDECAR - [0:0]\n"
        "-A LLM_SIDECAR -m owner --uid-owner 1414 -j RETURN\n"
        "-A LLM_SIDECAR -m owner --uid-owner 1415 -j RETURN\n"
        "-A LLM_SIDECAR -m owner --gid-owner 7 -j RETURN\n"
        "-A LLM_SIDECAR -o lo -j RETURN\n"
        "-A LLM_SIDECAR -m addrtype --dst-type LOCAL -j RETURN\n"
        "-A LLM_SIDECAR -d 10.0.0.0/8 -j RETURN\n"
        "-A LLM_SIDECAR -p tcp -m multiport --dports 8001 -j RETURN\n"
        "-A LLM_SIDECAR -p tcp -d 0.0.0.0/0 -m owner --uid-owner 1000 "
        "-m multiport --dports 443,8000:8010 -j REDIRECT --to-ports 15003\n"
        "COMMIT\n"
    )
    v6 = iptables_input(FULL, 6)
    assert "-d ::/0" in v6
    assert "10.0.0.0" not in v6


def test_networks_of_one_family_leave_the_other_alone() -> None:
    only_v4 = Redirect(cidrs=networks("10.0.0.0/8"))
    assert "ip6" not in nft_script(only_v4)
    assert "REDIRECT" not in iptables_input(only_v4, 6)


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 9)), min_size=1, max_size=60))
def test_no_rule_of_iptables_has_too_many_ports(given_ports: list[tuple[int, int]]) -> None:
    ports = tuple(Ports(first, min(first + more, 65535)) for first, more in given_ports)
    rules = [
        line for line in iptables_input(Redirect(ports=ports), 4).splitlines() if "REDIR" in line
    ]
    written = [line.split("--dports ")[1].split()[0].split(",") for line in rules]
    assert [each for group in written for each in group] == [each.text(":") for each in ports]
    assert all(sum(1 + (":" in each) for each in group) <= 15 for group in written)


@pytest.mark.parametrize(("text", "ports"), [("443", (443, 443)), ("80-90", (80, 90))])
def test_ports(text: str, ports: tuple[int, int]) -> None:
    assert Ports.parse(text) == ports
    assert Ports.parse(text).text("-") == text


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "90-80", "x", "-1", "1-2-3", "4_43", " 443", "\u0664"]
)
def test_no_ports(text: str) -> None:
    with pytest.raises(ValueError, match="not a port"):
        Ports.parse(text)


@pytest.mark.parametrize("text", ["x", "10.0.0.1/8", "10.0.0.0/40"])
def test_no_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks(text)
