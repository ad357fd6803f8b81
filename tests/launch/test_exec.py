"""`sidecar exec` and `sidecar env`, as processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sidecar.launch.running import _free_ports

SIDECAR = [sys.executable, "-m", "sidecar"]
CALL = """
import os, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(2):
    with opener.open(os.environ["OPENAI_BASE_URL"] + "/models") as reply:
        print(reply.read().decode())
sys.exit(3)
"""
WAIT = """
import os, signal, sys
def told(number, _):  # perhaps in the middle of the print below, where no other may begin
    os.write(1, b"told %d\\n" % number)
    sys.exit(5)
for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
    signal.signal(getattr(signal, name), told)
print("ready", flush=True)
signal.pause()
"""


class Flaky(BaseHTTPRequestHandler):
    """Fails every call once."""

    failed = False

    def do_GET(self) -> None:
        Flaky.failed = not Flaky.failed
        self.send_response(503 if Flaky.failed else 200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as serving:
        threading.Thread(target=serving.serve_forever).start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()


@pytest.fixture
def config(tmp_path: Path, server: str) -> Path:
    """Of a sidecar in front of the server, on ports that nobody else has."""
    reverse, forward, admin = _free_ports(3)
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        f"listeners: [{{address: '127.0.0.1:{reverse}'}},"
        f" {{mode: forward, address: '127.0.0.1:{forward}'}}]\n"
        f"upstreams: {{u: {{endpoints: [{{url: '{server}'}}]}}}}\n"
        f"routes: [{{upstream: u}}]\n"
        f"intercept: {{ca: {tmp_path}/ca}}\n"
        f"admin: {{address: '127.0.0.1:{admin}'}}\n"
    )
    return file


def execute(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Without a sidecar that somebody else may have running here."""
    return subprocess.run(
        [*SIDECAR, "exec", "--admin", "127.0.0.1:1", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **environ},
    )


def test_a_program_s_calls_are_carried_and_summed_up(config: Path) -> None:
    done = execute("-c", str(config), "--", sys.executable, "-c", CALL)
    assert (done.stdout, done.returncode) == ("fine\nfine\n", 3), done.stderr
    assert done.stderr.startswith("sidecar: 2 calls (2 x 200), 2 retries (2 after 503), mean ")


def test_without_a_file_it_has_ports_of_its_own() -> None:
    done = execute("--quiet", "--", "sh", "-c", "echo $OPENAI_BASE_URL; cat no-such-file")
    assert done.stdout.startswith("http://127.0.0.1:")
    assert ":14001/" not in done.stdout
    assert done.returncode == 1
    assert "sidecar:" not in done.stderr


def test_the_files_of_mode_proxy_are_there_while_it_runs() -> None:
    names = '"$SSL_CERT_FILE" "$REQUESTS_CA_BUNDLE" "$CURL_CA_BUNDLE" "$NODE_EXTRA_CA_CERTS"'
    done = execute(
        "--mode", "proxy", "--", "sh", "-c", f"cat {names} >/dev/null && echo $SSL_CERT_FILE"
    )
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(done.stdout.strip())


def test_what_cannot_be_run() -> None:
    done = execute("-q", "--", "no-such-program")
    assert (done.returncode, done.stderr) == (127, "sidecar exec: no-such-program: not found\n")
    assert execute("-q", "--", "/etc/passwd").returncode == 126


def test_a_program_that_a_signal_ended() -> None:
    assert execute("-q", "--", "sh", "-c", "kill -9 $$").returncode == 137


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_are_the_program_s(name: str) -> None:
    with subprocess.Popen(
        [*SIDECAR, "exec", "--admin", "127.0.0.1:1", "-q", "--", sys.executable, "-c", WAIT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        number = getattr(signal, name)
        running.send_signal(number)
        assert running.stdout.readline() == f"told {int(number)}\n"
        assert running.wait(20) == 5


def test_a_bad_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("listeners: 1\n")
    done = execute("-c", str(file), "--", "true")
    assert done.returncode == 1
    assert "bad.yaml:1" in done.stderr


def test_a_port_in_use_is_told(config: Path, server: str) -> None:
    port = server.rpartition(":")[2]
    text = config.read_text()
    config.write_text(text.replace(text.split("127.0.0.1:")[1].split("'")[0], port))
    done = execute("-c", str(config), "--", "true")
    assert done.returncode == 1
    assert "the sidecar did not start" in done.stderr


@contextlib.contextmanager
def sidecar(config: Path) -> Iterator[str]:
    """One that runs; the address of its admin API."""
    admin = config.read_text().rpartition("127.0.0.1:")[2].split("'")[0]
    with subprocess.Popen(
        [*SIDECAR, "run", "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        while "listening" not in running.stderr.readline():
            assert running.poll() is None
        yield f"127.0.0.1:{admin}"
        running.terminate()
        running.stderr.read()


def test_one_that_runs_is_used(config: Path) -> None:
    with sidecar(config) as admin:
        done = execute("--admin", admin, "--", sys.executable, "-c", CALL)
        assert done.returncode == 3, done.stderr
        assert "sidecar: 2 calls (2 x 200), 2 retries" in done.stderr
        done = execute("--admin", admin, "--mode", "capture", "--", "true")
        assert done.returncode == 1
        assert "no listener for capture" in done.stderr


def test_env_prints_what_a_shell_takes(config: Path, tmp_path: Path) -> None:
    with sidecar(config) as admin:
        printed = subprocess.run(
            [*SIDECAR, "env", "--mode", "proxy", "--admin", admin],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "it's")},
        ).stdout
    told = subprocess.run(
        ["sh", "-c", printed + 'cat "$SSL_CERT_FILE" && echo "$HTTPS_PROXY"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (tmp_path / "ca" / "ca.crt").read_text() in told
    assert told.rstrip().endswith(
        f"http://127.0.0.1:{config.read_text().split('127.0.0.1:')[2][:5]}"
    )


def test_env_without_a_sidecar() -> None:
    done = subprocess.run(
        [*SIDECAR, "env", "--admin", "127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no sidecar answers at 127.0.0.1:1" in done.stderr
