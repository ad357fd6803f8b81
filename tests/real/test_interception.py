"""Programs in four languages, unmodified, whose calls come to the sidecar in every way there is.

In network namespaces of the test's own, with the kernel's own redirects. One of the sidecar's two
endpoints always fails, so that a program whose every call succeeds was served by retries.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DIRECT
from netns import unavailable
from programs import run
from world import HERE, SIDECAR, World, world

PROGRAMS = pytest.mark.parametrize("program", ["curl", "openai", "requests", "node", "java"])
CONVERSE = """
import socket, sys
with socket.create_connection((sys.argv[1], 5432), 5) as sock:
    sock.settimeout(5)
    file = sock.makefile("rwb", 0)
    print(file.readline().decode().strip())
    file.write(b"SELECT 1\\n")
    print(file.readline().decode().strip())
    sock.shutdown(socket.SHUT_WR)
    print(len(file.read()))
"""


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    if reason := unavailable():
        pytest.skip(f"no network namespaces here: {reason}")
    if DIRECT:
        pytest.skip("REAL_DIRECT: no sidecar in this run")
    with tempfile.TemporaryDirectory(prefix="world-") as name:  # other users can't see pytest's
        classes = Path(name, "java")
        run(["javac", "-d", str(classes), str(HERE / "java" / "Client.java")])
        with world(Path(name), str(classes)) as made:
            yield made


@pytest.fixture
def captured(place: World) -> Iterator[World]:
    """With a sidecar, and redirects to it."""
    with place.sidecar(), place.redirected("--ports", "443,5432,8443"):
        place.requests()
        yield place


def carried(place: World) -> None:
    """The sidecar made the calls, and made some again."""
    asked = place.requests()
    assert all(each["carried"] for each in asked), asked
    assert {"broken.test", "api.openai.com"} == {each["host"] for each in asked}


# -- capture --


@PROGRAMS
@pytest.mark.parametrize("user", [0, 1000], ids=["root", "user"])
def test_captured_calls_are_carried_and_retried(captured: World, program: str, user: int) -> None:
    done = captured.runs(program, captured.environ("capture"), user=user)
    assert done.stdout.count("fine") >= 1, done.stderr
    assert captured.decisions("14003")["intercepted_tls"] >= 1
    if program == "node":  # one call each: again, for the other endpoint's turn
        captured.runs(program, captured.environ("capture"), user=user)
    carried(captured)


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_both_families(captured: World, family: str) -> None:
    env = captured.environ("capture")
    command = captured.program("curl", "https://api.openai.com/v1")
    captured.inside.run(*command, family, env={**os.environ, **env})
    assert captured.decisions("14003") == {"intercepted_tls": 1}
    carried(captured)


def test_other_hosts_are_passed_through(captured: World) -> None:
    env = {**os.environ, **captured.distrusting()}
    for family in ("-4", "-6"):
        done = captured.inside.run("curl", "-sS", family, "https://other.test/", env=env)
        assert done.stdout == "hello from other.test"
    assert captured.requests() == [{"host": "other.test", "carried": False, "path": "/"}] * 2
    assert captured.decisions("14003") == {"not_routed": 2}


@PROGRAMS
def test_a_client_that_does_not_trust_us_is_soon_passed_through(
    captured: World, program: str
) -> None:
    """The second time if it sends an alert; the third if it only leaves, as Node and Java do."""
    env = captured.distrusting()
    first = captured.runs(program, env, ok=False)
    second = captured.runs(program, env, ok=False)
    third = captured.runs(program, env)
    # curl makes two calls each time: its first time it fails once.
    assert first.stdout.count("fine") < third.stdout.count("fine"), third.stderr
    if program not in ("node", "java"):
        assert second.stdout == third.stdout
    asked = captured.requests()
    assert asked
    assert not any(each["carried"] for each in asked)
    decisions = captured.decisions("14003")
    assert decisions["certificate_refused"] >= 1
    assert decisions["untrusting"] >= 1


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Go program."""
    if shutil.which("go") is None:
        pytest.skip("no go here")
    built = tmp_path_factory.mktemp("go") / "pool"
    run(["go", "build", "-o", str(built), str(HERE / "go" / "pool.go")])
    return str(built)


URL = "https://api.openai.com/v1"
PROXY = ["--import", str(HERE / "node" / "proxy.mjs")]


@pytest.mark.parametrize("mode", ["capture", "proxy"])
@pytest.mark.parametrize("program", ["node", "python", "go"])
def test_a_client_that_trusts_us_may_leave_connections_unused(
    captured: World, program: str, mode: str, request: pytest.FixtureRequest
) -> None:
    """Streams that are given up, dials that are given up, a pool that dials in vain."""
    if program == "node":
        command = ["node", *(PROXY if mode == "proxy" else []), str(HERE / "node/leaver.mjs"), URL]
    elif program == "python":
        command = [sys.executable, str(HERE / "impatient.py"), URL]
    else:
        command = [request.getfixturevalue("pool"), URL]
    env = captured.environ(mode)
    for _ in range(3):
        captured.requests()
        done = captured.runs_command(command, env)
        assert done.stdout.count("fine") >= 5, done.stderr
        asked = captured.requests()
        assert sum(each["carried"] for each in asked) > len(asked) / 2
    assert not captured.decisions("14003" if mode == "capture" else "14002").keys() & {
        "certificate_refused",
        "untrusting",
        "server_first",
    }


def test_a_server_that_speaks_first(captured: World) -> None:
    for _ in range(2):
        done = captured.inside.run("python3", "-c", CONVERSE, "other.test")
        assert done.stdout == "220 hello\nSELECT 1\n0\n"
    assert captured.decisions("14003") == {"silent": 1, "server_first": 1}


def test_a_client_of_http_2_only(captured: World) -> None:
    client = ["node", str(HERE / "node" / "h2.mjs"), "call", "https://api.openai.com:8443"]
    done = captured.inside.run(*client, str(captured.roots))
    assert done.stdout == "over h2"
    assert captured.decisions("14003") == {"only_h2": 1}


def test_who_is_not_redirected_is_closed(captured: World) -> None:
    done = captured.inside.run("curl", "-sS", "http://127.0.0.1:14003/", ok=False)
    assert done.returncode in (7, 56)  # reset, perhaps while it still connects
    assert captured.decisions("14003") == {"not_redirected": 1}


def test_the_sidecar_does_not_capture_itself(place: World) -> None:
    """As root, whom the rules redirect, its own attempts would come back to it without end."""
    with place.sidecar(user=0), place.redirected():
        place.requests()
        began = time.monotonic()
        command = place.program("curl", "http://127.0.0.1:14001/v1")
        done = place.inside.run(*command, ok=False)
        assert done.returncode == 22
        assert "502" in done.stderr
        assert time.monotonic() - began < 15
        decisions = place.decisions("14003")
        assert decisions.keys() == {"loop"}
        assert 1 <= decisions["loop"] <= 20
        assert place.requests() == []


def test_check_says_that_connections_arrive(captured: World) -> None:
    done = captured.inside.run(SIDECAR, "redirect", "check")
    assert done.stdout.count("ok ") == 4


def test_exec_captures_and_cleans_up(place: World) -> None:
    command = place.program("curl", "https://api.openai.com/v1")
    env = {**os.environ, **place.distrusting(), "XDG_STATE_HOME": str(place.folder)}
    done = place.inside.run(
        SIDECAR, "exec", "--mode", "capture", "-c", str(place.config()), "--", *command, env=env
    )
    assert done.stdout.count("fine") == 2
    assert re.search(r"sidecar: 2 calls \(2 x 200\), [12] retr", done.stderr)
    assert place.inside.run(SIDECAR, "redirect", "show", ok=False).stdout == "no rules\n"
    carried(place)


# -- by proxy, and by base URL --


@PROGRAMS
@pytest.mark.parametrize("mode", ["proxy", "base-url"])
def test_calls_by_other_ways_are_carried_too(place: World, program: str, mode: str) -> None:
    with place.sidecar():
        place.requests()
        env = place.environ(mode)
        for _ in range(2):
            done = place.runs(program, env, mode)
            assert "fine" in done.stdout, done.stderr
        carried(place)
        decisions = place.decisions("14002")
        assert bool(decisions.get("intercepted_tls")) is (mode == "proxy")


def test_a_proxy_passes_other_hosts_on(place: World) -> None:
    with place.sidecar():
        place.requests()
        env = {**os.environ, **place.environ("proxy")}
        done = place.inside.run("curl", "-sS", "https://other.test/", env=env)
        assert done.stdout == "hello from other.test"
        assert place.requests() == [{"host": "other.test", "carried": False, "path": "/"}]


def test_a_proxy_is_no_way_inside(place: World) -> None:
    with place.sidecar(allow=[]):
        env = {**os.environ, **place.environ("proxy"), "NO_PROXY": "", "no_proxy": ""}
        told = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}"]
        for there in ("https://other.test", "http://127.0.0.1:14010", "http://169.254.169.254"):
            done = place.inside.run(*told, there, env=env, ok=False)
            assert "403" in done.stdout, there
