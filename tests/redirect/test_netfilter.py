"""`sidecar redirect` with the kernel's own rules, in namespaces that the test makes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from sidecar import cli
from tests.netns import SERVER, SERVER_V6, Wire, unavailable, wire

BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program}"),
        )
        for name, program in (("nft", "nft"), ("iptables", "iptables-legacy"))
    ],
)
CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as sock:
        sock.settimeout(2)
        print(sock.recv(9).decode())
except OSError as error:
    print(type(error).__name__)
"""
SERVE = """
import socket, sys, threading
def serve(family, address, port, says):
    server = socket.create_server((address, port), family=family)
    while True:
        with server.accept()[0] as sock:
            sock.sendall(says)
for port in map(int, sys.argv[2:]):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        threading.Thread(target=serve, args=(family, address, port, sys.argv[1].encode())).start()
print("ready", flush=True)
"""


@pytest.fixture
def network() -> Iterator[Wire]:
    if reason := unavailable():
        pytest.skip(f"no network namespaces here: {reason}")
    with (
        wire({}) as made,
        made.outside.running(sys.executable, "-c", SERVE, "server", "443", "5432") as server,
        made.inside.running(sys.executable, "-c", SERVE, "sidecar", "14003") as sidecar,
    ):
        for child in (server, sidecar):
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        yield made


def sidecar(network: Wire, *arguments: str, ok: bool = True) -> CompletedProcess[str]:
    return network.inside.run(sys.executable, "-m", "sidecar", "redirect", *arguments, ok=ok)


def reached(network: Wire, port: int, user: int = 0, address: str = SERVER) -> str:
    done = network.inside.run(sys.executable, "-c", CONNECT, address, str(port), user=user)
    return done.stdout.strip()


@BACKENDS
def test_connections_are_redirected_until_the_rules_are_removed(
    network: Wire, backend: str
) -> None:
    assert reached(network, 443) == "server"
    sidecar(network, "install", "--backend", backend)
    for address in (SERVER, SERVER_V6):
        assert reached(network, 443, address=address) == "sidecar"
        assert reached(network, 443, user=1000, address=address) == "sidecar"
        assert reached(network, 443, user=1414, address=address) == "server"
        assert reached(network, 5432, address=address) == "server"
    sidecar(network, "remove")
    assert reached(network, 443) == "server"


@BACKENDS
def test_twice_is_once(network: Wire, backend: str) -> None:
    once = sidecar(network, "install", "--backend", backend).stdout
    again = sidecar(network, "install", "--backend", backend).stdout
    assert once == again == sidecar(network, "show").stdout
    other = sidecar(network, "install", "--backend", backend, "--ports", "5432").stdout
    assert "5432" in other
    assert "443" not in other
    sidecar(network, "remove")
    assert sidecar(network, "show", ok=False).stdout == "no rules\n"
    sidecar(network, "remove")


@BACKENDS
def test_who_and_where(network: Wire, backend: str) -> None:
    sidecar(network, "install", "--backend", backend, "--only-uid", "1000", "--ports", "1-65535",
            "--exclude-ports", "5432")  # fmt: skip
    assert reached(network, 443, user=1000) == "sidecar"
    assert reached(network, 443) == "server"
    assert reached(network, 5432, user=1000) == "server"
    sidecar(network, "install", "--backend", backend, "--exclude-cidrs", "198.18.0.0/15")
    assert reached(network, 443) == "server"
    assert reached(network, 443, address=SERVER_V6) == "sidecar"
    sidecar(network, "install", "--backend", backend, "--cidrs", "198.18.0.0/15")
    assert reached(network, 443) == "sidecar"
    assert reached(network, 443, address=SERVER_V6) == "server"


def test_one_backend_replaces_the_other(network: Wire) -> None:
    if not all(map(shutil.which, ("nft", "iptables-legacy"))):
        pytest.skip("needs nft and iptables-legacy")
    sidecar(network, "install", "--backend", "iptables")
    sidecar(network, "install")
    shown = sidecar(network, "show").stdout
    assert "table inet llm_sidecar" in shown
    assert "-A LLM_SIDECAR" not in shown


@BACKENDS
def test_check_finds_the_rules_and_what_is_wrong(network: Wire, backend: str) -> None:
    done = sidecar(network, "check", ok=False)
    assert (done.returncode, done.stdout.count("wrong")) == (1, 2)
    sidecar(network, "install", "--backend", backend)
    assert sidecar(network, "check").stdout.splitlines() == [
        "ok    IPv4: redirected",
        "ok    IPv4: the sidecar's user 1414 is left alone",
        "ok    IPv6: redirected",
        "ok    IPv6: the sidecar's user 1414 is left alone",
    ]
    sidecar(network, "install", "--backend", backend, "--uid", "9")
    done = sidecar(network, "check", ok=False)
    assert "wrong IPv4: the sidecar's user 1414 is redirected too" in done.stdout


def test_check_works_before_a_sidecar_listens() -> None:
    if reason := unavailable():
        pytest.skip(f"no network namespaces here: {reason}")
    with wire({}) as network:
        sidecar(network, "install", "--only-uid", "1000")
        assert sidecar(network, "check", "--only-uid", "1000").stdout.count("ok ") == 4
        assert sidecar(network, "check", ok=False).stdout.count("wrong") == 2


def test_without_root_it_says_so(network: Wire) -> None:
    done = network.inside.run(
        sys.executable, "-m", "sidecar", "redirect", "install", user=1000, ok=False,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    if done.returncode == 126:
        pytest.skip("another user can't run this Python")
    assert done.returncode == 1
    assert "needs root" in done.stderr


def test_a_dry_run_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["redirect", "install", "--dry-run", "--ports", "80,443"]) == 0
    assert "tcp dport { 80, 443 } redirect to :14003" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--ports", "x"], ["--cidrs", "10.0.0.1/8"], ["--uid", "root"], ["--to", "x"]]
)
def test_what_makes_no_sense_is_told(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as told:
        cli.main(["redirect", "install", *wrong])
    assert told.value.code == 2
