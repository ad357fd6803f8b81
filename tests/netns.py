"""Two network namespaces with a wire between them, made for a test and gone with it.

`inside` is where a program, and maybe a sidecar, runs; `outside` is the internet as it sees it.
Both are kept open by a process of ours, so that nothing of the machine is changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

SERVER: Final = "198.18.0.2"
"""Public enough: RFC 2544's, which nobody uses."""
SERVER_V6: Final = "fd77::2"
_HERE, _HERE_V6 = "198.18.0.1", "fd77::1"


class Namespace:
    """One of the two."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def command(self, command: Sequence[str], user: int | None = None) -> list[str]:
        """*command*, to be run here, as *user* if one is given."""
        enter = ["nsenter", "-t", str(self.pid), "-n", "-m", "--wd=" + str(Path.cwd()), "--"]
        return [*enter, *(_as(user) if user is not None else []), *command]

    def run(
        self, *command: str, user: int | None = None, ok: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run *command* to its end; it has to succeed unless that is not asked (*ok*)."""
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, **more}
        done = subprocess.run(self.command(command, user), check=False, **options)
        assert not ok or done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr}"
        return done

    @contextlib.contextmanager
    def running(
        self, *command: str, user: int | None = None, env: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Run *command* until the block ends; what it prints can be read."""
        with subprocess.Popen(
            self.command(command, user),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        ) as child:
            try:
                yield child
            finally:
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(10)
                child.kill()


def _as(user: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]


class Wire:
    """The two namespaces. *names*, a hosts file, is what the inside resolves."""

    def __init__(self, inside: Namespace, outside: Namespace) -> None:
        self.inside = inside
        self.outside = outside


def unavailable() -> str | None:
    """Why this machine can't make namespaces, if it can't."""
    for program in ("unshare", "nsenter", "setpriv", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    made = subprocess.run(
        ["unshare", "-nm", "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        return made.stderr.strip() or "unshare failed"
    # One that root has built in its home finds no library there.
    python = subprocess.run(
        [*_as(1000), sys.executable, "-c", ""], check=False, capture_output=True
    )
    return "other users can't run this Python" if python.returncode else None


@contextlib.contextmanager
def wire(names: Mapping[str, Sequence[str]]) -> Iterator[Wire]:
    """Two namespaces, in which *names* resolve to these addresses."""
    lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts,
        contextlib.ExitStack() as stack,
    ):
        hosts.write("\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""]))
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        both = [stack.enter_context(_namespace(hosts.name)) for _ in range(2)]
        made = Wire(*both)
        _connect(made)
        yield made


@contextlib.contextmanager
def _namespace(hosts: str) -> Iterator[Namespace]:
    script = f"mount --bind {hosts} /etc/hosts && echo ready && exec sleep 3600"
    with subprocess.Popen(
        ["unshare", "-nm", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield Namespace(child.pid)
        finally:
            child.kill()


def _connect(made: Wire) -> None:
    peer = str(made.outside.pid)
    made.inside.run(
        *["ip", "link", "add", "w0", "type", "veth", "peer", "name", "w0", "netns"], peer
    )
    for side, v4, v6 in ((made.inside, _HERE, _HERE_V6), (made.outside, SERVER, SERVER_V6)):
        side.run("ip", "link", "set", "lo", "up")
        side.run("ip", "addr", "add", f"{v4}/24", "dev", "w0")
        side.run("ip", "-6", "addr", "add", f"{v6}/64", "dev", "w0", "nodad")
        side.run("ip", "link", "set", "w0", "up")
    made.inside.run("ip", "route", "add", "default", "via", SERVER)
    made.inside.run("ip", "-6", "route", "add", "default", "via", SERVER_V6)
