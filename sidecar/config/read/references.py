"""Replaces `${env:NAME}` and `${file:PATH}`: secrets, and what else is kept out of the file.

What they stand for is put in before types are checked, and is never shown: errors name places, not
values, and `shown` is the tree as it was written.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Final, Literal

from msgspec import Struct

from sidecar.config.problems import Path, Problem
from sidecar.config.read.stand_ins import ABSENT
from sidecar.http.keys import is_key

Kind = Literal["env", "file"]
Resolve = Callable[[Kind, str], str]
"""Text of an environment variable or of a file. Raises LookupError, OSError, or ValueError for what
is no text. Messages of these are not shown, as they may quote a value; an OSError's strerror is."""

MAX_FILE: Final = 2**20
MAX_EXPANDED: Final = 4 * 2**20
"""Characters that all references of a configuration together may stand for."""

_REFERENCE: Final = re.compile(
    r"\$\$\{|\$\{(?:(?P<env>env):([A-Za-z_][A-Za-z0-9_]*)|(?P<file>file):([^{}\x00-\x1f]+))\}|\$\{"
)
_SCHEME: Final = re.compile(r"(?i)(?:(?:bearer|basic|token|apikey|key) +)?")
_NO_TEXT: Final = "not UTF-8 text"
_DER: Final = "; PEM is expected: openssl x509 -inform der -in FILE -out NEW"
_TLS_FILES: Final = ("ca", "cert", "key")
_KEY_FILES: Final = ("keys",)


def from_system(kind: Kind, name: str) -> str:
    """Read the process environment, or a regular file of UTF-8 text of at most `MAX_FILE` bytes."""
    if kind == "env":
        return os.environ[name]
    if not stat.S_ISREG(os.stat(name).st_mode):  # a FIFO would block, a device never end
        raise OSError(0, "not a regular file")
    with open(name, "rb") as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise OSError(0, f"larger than {MAX_FILE} bytes")
    return content.decode("utf-8")


class Expanded(Struct):
    """A tree with every reference replaced, and what was read for that."""

    root: object
    read: dict[tuple[Kind, str], str]
    """The texts that were read, TLS files included: a renewed certificate changes the hash."""
    files: frozenset[str]
    """Paths of all files that it names, also of those that could not be read."""
    problems: list[Problem]
    absent: dict[Path, str]
    """Texts with references to what is missing, each marked."""
    unchecked: list[Problem]
    """What of these, and of TLS files, is not here."""
    missing: frozenset[str]
    """The names of the former."""


class _Failed(Exception):
    """A reference that can't be resolved; the message is for the user."""


class _Absent(_Failed):
    """There is no such variable or file here; or, if it is *hidden*, not for us."""

    def __init__(self, message: str, *, hidden: bool = False) -> None:
        super().__init__(message)
        self.hidden = hidden


MayMiss = Callable[[Kind, str, Path, bool], bool]
"""Whether what a reference at a path names may be missing: its kind, its name, the path, and
whether it is there, but may not be read."""


def nothing_may(kind: Kind, name: str, path: Path, hidden: bool) -> bool:
    """Let nothing be missing."""
    return False


def anything_may(kind: Kind, name: str, path: Path, hidden: bool) -> bool:
    """Let all be missing."""
    return True


def nothing(kind: Kind, name: str) -> str:
    """Read nothing: for a check that must not depend on where it runs."""
    raise LookupError if kind == "env" else FileNotFoundError(errno.ENOENT, "not read here")


def expand(
    root: object, *, folder: str, resolve: Resolve, may_miss: MayMiss = nothing_may
) -> Expanded:
    """Replace the references in *root*; relative paths are relative to *folder*.

    What is missing is a problem, or where *may_miss* lets it be, is told in `unchecked`.
    """
    expander = _Expander(folder, resolve, may_miss)
    done = expander.value(root, ())
    for path, section in _sections(done, "upstreams", "tls"):
        expander.tls(section, path)
    if isinstance(collector := _inner(done, "tracing", "tls"), dict):
        expander.tls(collector, ("tracing", "tls"))
    if isinstance(redis := _inner(done, "store", "redis"), dict):
        expander.tls(redis, ("store", "redis"))
    for path, section in _of_listeners(done):
        expander.tls(section, path, _KEY_FILES if path[-1] == "tokens" else _TLS_FILES)
    files = frozenset(name for kind, name in expander.asked if kind == "file")
    return Expanded(
        done,
        expander.read,
        files,
        expander.problems,
        expander.absent,
        expander.unchecked,
        frozenset(expander.missing),
    )


class _Expander:
    def __init__(self, folder: str, resolve: Resolve, may_miss: MayMiss) -> None:
        self.folder = folder
        self.resolve = resolve
        self.may_miss = may_miss
        self.read: dict[tuple[Kind, str], str] = {}
        self.asked: set[tuple[Kind, str]] = set()
        self.left = MAX_EXPANDED
        self.problems: list[Problem] = []
        self.absent: dict[Path, str] = {}
        self.unchecked: list[Problem] = []
        self.missing: set[str] = set()
        self.path: Path = ()
        """Of the text whose references are being replaced."""

    def value(self, value: object, path: Path) -> object:
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        return self.text(value, path) if isinstance(value, str) and "${" in value else value

    def text(self, text: str, path: Path) -> str:
        self.path = path
        try:
            done = _REFERENCE.sub(self.replace, text)
        except _Failed as error:
            self.problems.append(Problem(path, str(error)))
            return text
        if ABSENT in done and self.unchecked and self.unchecked[-1].path == path:
            self.absent[path] = done
        return done

    def replace(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if not match["env"] and not match["file"]:
            raise _Failed("expected ${env:NAME} or ${file:PATH}; write $${ for a plain ${")
        kind: Kind = "env" if match["env"] else "file"
        name = match[2] if match["env"] else os.path.join(self.folder, match[4])
        try:
            text = self.text_of(kind, name)
        except _Absent as error:
            if not self.may_miss(kind, name, self.path, error.hidden):
                raise
            self.unchecked.append(Problem(self.path, str(error)))
            self.missing.add(name)
            return ABSENT
        self.left -= len(text)
        if self.left < 0:
            raise _Failed(f"the references expand to more than {MAX_EXPANDED} characters")
        return text

    def text_of(self, kind: Kind, name: str) -> str:
        if kind == "env":
            return self.look_up(kind, name, f"environment variable {name}")
        text = self.look_up(kind, name, f"file {name}")
        if text.startswith("\ufeff"):
            raise _Failed(f"file {name} begins with a byte order mark; save it as plain UTF-8")
        return re.sub(r"\r?\n\Z", "", text)

    def look_up(self, kind: Kind, name: str, what: str) -> str:
        """Return the text that a reference stands for, read once. *what* names it in errors."""
        self.asked.add((kind, name))
        if (kind, name) in self.read:
            return self.read[kind, name]
        try:
            text = self.read[kind, name] = self.resolve(kind, name)
        except LookupError:
            raise _Absent(f"{what} is not set") from None
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            hidden = isinstance(error, PermissionError)
            message = f"cannot read {what}: {error.strerror or 'unreadable'}"
            raise _Absent(message, hidden=hidden) from None
        except OSError as error:
            raise _Failed(f"cannot read {what}: {error.strerror or 'unreadable'}") from None
        except ValueError:  # a UnicodeDecodeError quotes bytes of the value
            raise _Failed(f"cannot read {what}: {_NO_TEXT}") from None
        return text

    def tls(
        self, section: dict[str, object], path: Path, keys: tuple[str, ...] = _TLS_FILES
    ) -> None:
        """Make the paths of certificates and keys absolute, and check that they are there."""
        for key in keys:
            name = section.get(key)
            if not isinstance(name, str):
                continue
            name = section[key] = os.path.join(self.folder, name)
            try:
                self.look_up("file", name, "the file")  # unnamed: a reference may be part of it
            except _Failed as error:
                problems = self.problems
                where = *path, key
                if isinstance(error, _Absent) and self.may_miss("file", name, where, error.hidden):
                    problems = self.unchecked
                hint = _DER if str(error).endswith(_NO_TEXT) else ""
                problems.append(Problem(where, f"{error}{hint}"))


def _sections(root: object, group: str, key: str) -> Iterator[tuple[Path, dict[str, object]]]:
    """Yield the mapping under *key* of every member of *group*."""
    members = root.get(group) if isinstance(root, dict) else None
    for name, member in members.items() if isinstance(members, dict) else ():
        section = member.get(key) if isinstance(member, dict) else None
        if isinstance(section, dict):
            yield (group, name, key), section


def _of_listeners(root: object) -> Iterator[tuple[Path, dict[str, object]]]:
    """Yield the mappings of listeners that name files."""
    listeners = root.get("listeners") if isinstance(root, dict) else None
    for index, listener in enumerate(listeners if isinstance(listeners, list) else ()):
        for keys in (("tls",), ("access", "certificates"), ("access", "tokens")):
            if isinstance(section := _inner(listener, *keys), dict):
                yield ("listeners", index, *keys), section


def _inner(root: object, *keys: str) -> object:
    """Return what the *keys* lead to; None if there is nothing."""
    for key in keys:
        root = root.get(key) if isinstance(root, dict) else None
    return root


def masked(root: object) -> object:
    """Return *root* as written, with literal credentials replaced by `***`.

    References stay, as they tell nothing, and so does a scheme such as `Bearer`. Changes *root*.
    """
    upstreams = _inner(root, "upstreams")
    for upstream in upstreams.values() if isinstance(upstreams, dict) else ():
        said = _inner(upstream, "credentials")
        for key in said if isinstance(said, list) else (said,):
            if isinstance(key, dict) and "value" in key:
                key["value"] = _masked(str(key["value"]))
    if isinstance(headers := _inner(root, "tracing", "headers"), dict):
        for name, value in headers.items():
            headers[name] = _masked(str(value))
    if isinstance(redis := _inner(root, "store", "redis"), dict):
        for name in {"password", "secret"} & redis.keys():
            redis[name] = _masked(str(redis[name]))
    routes = _inner(root, "routes")
    for route in routes if isinstance(routes, list) else ():
        if isinstance(headers := _inner(route, "match", "headers"), dict):
            _mask_keys(headers)
    return root


def _mask_keys(headers: dict[str, object]) -> None:
    """Mask the values that keys must have. `*` alone says that there is one."""
    for name, glob in headers.items():
        if is_key(name.lower().encode()) and glob != "*":
            headers[name] = _masked(str(glob))


def _masked(text: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        if match["env"] or match["file"]:
            parts += [_hidden(text[end : match.start()]), match[0]]
            end = match.end()
    return "".join([*parts, _hidden(text[end:])])


def _hidden(text: str) -> str:
    scheme = _SCHEME.match(text)
    kept = scheme[0] if scheme else ""
    return kept + ("***" if len(text) > len(kept) else "")
