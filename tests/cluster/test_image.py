"""The image: its Dockerfile linted, its steps carried out on a fresh Debian, and what comes out."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import dockerfile
import pytest
from chart import ROOT
from dockerfile import Image

FILE = ROOT / "Dockerfile"
UID = "1414"
MIB = 1 << 20


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_context_is_what_the_steps_need() -> None:
    for name, sent in {
        "sidecar": True,
        "locks/runtime.txt": True,
        "locks/redis.txt": True,
        "tests": False,
        ".git": False,
        "locks/dev.txt": False,
    }.items():
        assert dockerfile.sent(name, ROOT) is sent


@pytest.fixture(scope="module")
def image() -> Image:
    if "NO_IMAGE" in os.environ:
        pytest.skip(os.environ["NO_IMAGE"])
    return dockerfile.described(FILE, Path(os.environ["IMAGE_FOLDER"], "image"))


def contained(image: Image, script: str, *, rights: str = "") -> list[str]:
    """A command that runs *script* as a container: read-only root, own network, no root user.

    *rights*: arguments of setpriv. The script sees the image's environment only.
    """
    root = shlex.quote(str(image.root))
    enter = ["chroot", str(image.root), "setpriv", f"--reuid={UID}", f"--regid={UID}"]
    enter += ["--clear-groups", *shlex.split(rights or "--bounding-set=-all --no-new-privs")]
    enter += ["env", "-i", *(f"{k}={v}" for k, v in image.environment.items()), "sh", "-c", script]
    prepare = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && "
        f"mount -t proc proc {root}/proc && ip link set lo up && exec {shlex.join(enter)}"
    )
    return ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", prepare]


def said(image: Image, script: str, *, rights: str = "") -> tuple[int, str]:
    command = contained(image, script, rights=rights)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_it_runs_as_nobody_on_a_read_only_root(image: Image) -> None:
    assert image.user == f"{UID}:{UID}"
    assert said(image, "id -u; id -g") == (0, f"{UID}\n{UID}\n")
    code, text = said(image, "touch /opt/llm-sidecar/x")
    assert code != 0
    assert "Read-only file system" in text
    assert said(image, "sidecar version")[1].startswith("llm-sidecar 0.1.0 (Python 3.")


def test_it_has_the_bytecode_of_all_that_it_imports(image: Image) -> None:
    """Its user can write none, and compiling takes as long as the rest of the start."""
    script = (
        "import os, sys, sidecar.run; print([m for m, module in sys.modules.items()"
        " if (file := getattr(module, '__cached__', None)) and not os.path.exists(file)])"
    )
    assert said(image, f"/opt/llm-sidecar/bin/python -c {shlex.quote(script)}") == (0, "[]\n")


def test_its_health_check_knows_whether_it_serves(image: Image) -> None:
    start = shlex.join([*image.entrypoint, *image.command])
    check = shlex.join(image.health)
    assert said(image, check)[0] == 1
    waits = f"for _ in $(seq 100); do {check} && exit 0; sleep 0.1; done; exit 1"
    code, text = said(image, f"{start} & {waits}")
    assert (code, "Traceback" in text) == (0, False), text


def test_its_variables_open_it_to_other_containers(image: Image) -> None:
    """As `docker run -e` sets them: no file, and all addresses of the container."""
    variables = "SIDECAR_LISTEN=0.0.0.0:8080 SIDECAR_HEALTH=14012 SIDECAR_ADMIN=127.0.0.1:14013"
    start = f"{variables} {shlex.join([*image.entrypoint, *image.command])}"
    check = f"SIDECAR_ADMIN=127.0.0.1:14013 {shlex.join(image.health)}"
    wait = f"for _ in $(seq 100); do {check} && break; sleep 0.1; done"
    ask = (
        "import http.client as h\nfor port, path in (8080, '/nowhere'), (14012, '/live'):\n"
        " c = h.HTTPConnection('127.0.0.2', port); c.request('GET', path)\n"
        " print('status', c.getresponse().status)"
    )
    script = f"{start} & {wait}; /opt/llm-sidecar/bin/python -c {shlex.quote(ask)}"
    code, text = said(image, script)
    assert (code, "status 404\nstatus 200\n" in text) == (0, True), text


def test_sigterm_ends_it(image: Image) -> None:
    start = shlex.join([*image.entrypoint, *image.command])
    wait = f"for _ in $(seq 100); do {shlex.join(image.health)} && break; sleep 0.1; done"
    script = f"{start} & pid=$!; {wait}; kill -TERM $pid; wait $pid"
    code, text = said(image, script)
    assert code == 0
    assert '"message":"stopped"' in text


def test_every_command_that_pods_use_is_there(image: Image) -> None:
    for command in ("ready --help", "webhook --help", "inject --help", "schema"):
        assert said(image, f"sidecar {command}")[0] == 0, command
    assert said(image, "sleep 0")[0] == 0, "preStop"
    modules = "import cryptography, uvloop, msgspec"
    assert said(image, f"/opt/llm-sidecar/bin/python3 -c {modules!r}")[0] == 0


def test_no_compiler_and_nothing_to_install_with(image: Image) -> None:
    for name in ("cc", "gcc", "g++", "c++", "make", "pip", "setcap"):
        code, _ = said(image, f"command -v {name}")
        assert code != 0, name
    left = [p.name for p in (image.root / "var/lib/apt/lists").iterdir()]
    assert left == []


def test_packages_say_who_they_are(image: Image) -> None:
    """What makers of SBOMs read."""
    found = {p.name.split("-")[0] for p in image.root.glob("opt/llm-sidecar/lib/*/*/*.dist-info")}
    names = ("runtime", "redis")
    lock = "".join((ROOT / "locks" / f"{name}.txt").read_text() for name in names).splitlines()
    locked = {line.split("==")[0].replace("-", "_") for line in lock if "==" in line}
    assert {name.lower() for name in found} >= {"llm_sidecar_proxy", "aiohttp", "uvloop"}
    assert {name.lower() for name in found} - locked == {"llm_sidecar_proxy"}


def test_it_is_small(image: Image) -> None:
    """What the steps add to the base."""
    assert (size(image.root) - size(Path(os.environ["IMAGE_BASE"]))) / MIB < 100


def size(folder: Path) -> int:
    return int(subprocess.check_output(["du", "-sxb", folder]).split()[0])


REDIRECTS = "nft add table inet t && nft list tables"
NET_ADMIN = "--bounding-set=-all,+net_admin"


def test_a_user_who_is_not_root_writes_redirect_rules(image: Image) -> None:
    """With what the chart gives the redirect init container: NET_ADMIN, and no more."""
    assert said(image, REDIRECTS, rights=NET_ADMIN) == (0, "table inet t\n")


def test_why_that_container_may_gain_privileges(image: Image) -> None:
    assert said(image, REDIRECTS, rights=f"{NET_ADMIN} --no-new-privs")[0] != 0
    assert said(image, REDIRECTS)[0] != 0, "nor can anybody without NET_ADMIN"
