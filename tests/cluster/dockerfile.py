"""Carry out a Dockerfile where there is no Docker: each stage in a root of its own, by chroot.

Knows what our Dockerfile uses, and refuses what it does not know. It proves that the steps work on
a fresh Debian; it makes no image, and a real base has another Python.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

_SAID = {"ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD", "HEALTHCHECK"}
_IGNORED = {"ARG", "LABEL", "EXPOSE"}
_PASSED_ON = ("etc/resolv.conf", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Where this machine finds names and packages, lent to the build as its network would be."""


class Image:
    """What is known of the last stage once it is built."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment: dict[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.user = ""
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        self.folder = "/"


def described(file: Path, root: Path) -> Image:
    """What the last stage of *file* says of itself; it was built in *root*."""
    image = Image(root)
    for name, rest in instructions(file.read_text()):
        if name == "FROM":
            image = Image(root)
        elif name in _SAID:
            _set(image, name, rest)
    return image


def build(file: Path, base: Path, folder: Path) -> None:
    """Build on copies of the tree *base*: the last stage is `image` in *folder*."""
    stages: dict[str, Image] = {}
    image = Image(base)
    for name, rest in instructions(file.read_text()):
        if name == "FROM":
            _, *alias = shlex.split(rest)
            image = Image(folder / (alias[1] if alias else "image"))
            subprocess.run(["cp", "-a", base, image.root], check=True)
            stages[alias[1] if alias else ""] = image
        elif name == "COPY":
            _copy(image, rest, file.parent, stages)
        elif name == "RUN":
            _run(image, rest)
        elif name in _SAID:
            _set(image, name, rest)
        elif name not in _IGNORED:
            raise ValueError(f"{name}: not known here")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Name and rest, in order; a line that ends with a backslash goes on."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def _set(image: Image, name: str, rest: str) -> None:
    if name == "ENV":
        pairs = (pair.partition("=") for pair in shlex.split(rest))
        image.environment |= {key: value for key, _, value in pairs}
    elif name == "WORKDIR":
        image.folder = rest
    elif name == "USER":
        image.user = rest
    elif name == "ENTRYPOINT":
        image.entrypoint = json.loads(rest)
    elif name == "CMD":
        image.command = json.loads(rest)
    else:
        image.health = json.loads(rest.partition("CMD ")[2])


def _copy(image: Image, rest: str, context: Path, stages: dict[str, Image]) -> None:
    *options, target = shlex.split(rest)
    sources = [option for option in options if not option.startswith("--")]
    of = next((o.removeprefix("--from=") for o in options if o.startswith("--from=")), None)
    origin = stages[of].root if of is not None else context
    place = image.root / os.path.join(image.folder, target).lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if of is None and not sent(source, context):
            raise FileNotFoundError(f"{source}: .dockerignore keeps it out")
        if path.is_dir():
            pycache = shutil.ignore_patterns("__pycache__") if of is None else None
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=pycache)
        else:
            whole = place / path.name if len(sources) > 1 or target.endswith("/") else place
            whole = place / path.name if whole.is_dir() else whole
            whole.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, whole)


def sent(source: str, context: Path) -> bool:
    """Whether .dockerignore lets *source* into the context: the last line that fits decides."""
    wanted = True
    for line in (context / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern == "*" or fnmatch(source, pattern):
            wanted = line.startswith("!")
    return wanted


def _run(image: Image, script: str) -> None:
    lent = [name for name in _PASSED_ON if Path("/", name).exists()]
    before = {name: _bytes(image.root / name) for name in lent}
    for name in lent:
        image.root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        image.root.joinpath(name).write_bytes(Path("/", name).read_bytes())
    root, step = shlex.quote(str(image.root)), shlex.quote(f"cd {image.folder}; {script}")
    inside = f"mount -t proc proc {root}/proc; exec chroot {root} /bin/sh -ec {step}"
    try:
        subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-ec", inside],
            env=image.environment | {"DEBIAN_FRONTEND": "noninteractive"},
            check=True,
        )
    finally:
        for name, content in before.items():
            if content is None:
                image.root.joinpath(name).unlink(missing_ok=True)
            else:
                image.root.joinpath(name).write_bytes(content)


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:]))
