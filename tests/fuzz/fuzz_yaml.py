"""Configurations that somebody got wrong are read, or all that is wrong is told, with lines."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import yaml

from sidecar.config.defaults import packaged
from sidecar.config.load import ConfigErrors, load
from sidecar.config.read.references import Kind
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.mutate import mutated

_ROOT: Final = Path(__file__).parents[2]
_FILE: Final = "fuzz.yaml"
_MOST_MEMORY: Final = 200 * 2**20
"""Bytes that reading one configuration may take beyond what was there before."""
_ERROR: Final = re.compile(r"fuzz\.yaml:\d+: .+")
_SCALARS: Final = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, float("inf"), float("nan"), ""),
    *("5s", "1h", "0s", "64KiB", "10%", "1001%", "/", "/v1", "https://a", "http://[::1]:1", "u"),
    *(
        "127.0.0.1:1",
        "localhost:0",
        "[::1]:99999",
        "${env:A}",
        "${file:b}",
        "$${",
        "${",
        "*",
        "{a}",
    ),
    *("x" * 5000, "\u202e", "\x7f", "GET", "2xx", "default", "openai", "a b", "null", "gpt-*"),
)
_WORDS: Final[Sequence[bytes]] = [
    *(
        b": ",
        b"- ",
        b"\n",
        b"\n  ",
        b"{",
        b"}",
        b"[",
        b"]",
        b", ",
        b"&a ",
        b"*a",
        b"<<: *a\n",
        b"? ",
    ),
    *(b"!!int ", b"!x ", b"'", b'"', b"|\n", b">-\n", b"no", b"0x1f", b"1:2:3", b"~", b"# ", b"\t"),
    *(b"---\n", b"...\n", b"%YAML 1.1\n", b"\x00", b"\xff", b"\xed\xa0\x80", b"${env:A}", b"\r"),
    *(b"upstreams:\n", b"routes:\n", b"listeners:\n", b"policies:\n", b"endpoints:", b"match:"),
    *(b"\xef\xbb\xbf", b"\xc2\x85", b"&a [*a]", b"1e400", b"2001-01-01", b"retry:", b"timeouts:"),
]


@cache
def bases() -> list[str]:
    """Good configurations, and the broken one that the documents show."""
    files = [*(_ROOT / "docs" / "examples").glob("*.yaml")]
    texts = [packaged(name) for name in ("example.yaml", "providers.yaml", "broken.yaml")]
    return texts + [file.read_text(encoding="utf-8") for file in sorted(files)]


class YamlFuzzer(Fuzzer):
    """Texts are mutated, and so are the trees that they stand for."""

    name: ClassVar[str] = "yaml"
    share: ClassVar[int] = 2
    words: ClassVar[Sequence[bytes]] = _WORDS

    def fresh(self, random: Random) -> Case:
        kind = random.randrange(4)
        if kind == 0:
            return Case(bomb(random))
        text = random.choice(bases())
        if kind < 3:
            text = yaml.safe_dump(changed(random, yaml.safe_load(text)), allow_unicode=True)
        data = text.encode("utf-8", "surrogatepass")
        return Case(mutated(random, data, self.words) if kind != 1 else data)

    async def check(self, case: Case) -> Hashable:
        # As the file is read, but for bytes that are no UTF-8, which are refused before.
        text = case.data.decode("utf-8", "surrogateescape")
        reset_peak()
        before = peak()
        outcome = loaded(text)
        if peak() - before > _MOST_MEMORY:
            raise Fault("a configuration takes too much memory", f"{(peak() - before) >> 20} MiB")
        return outcome


def resolve(kind: Kind, name: str) -> str:
    """What references stand for: nothing of this machine."""
    if name == "missing":
        raise OSError(2, "No such file or directory")
    return "s3cr3t"


def loaded(text: str) -> Hashable:
    """Load *text*; what is wrong with it, without the lines and names."""
    try:
        load(text, file=_FILE, resolve=resolve)
    except ConfigErrors as errors:
        lines = str(errors).splitlines()
        if not lines or not any(map(_ERROR.fullmatch, lines)):
            raise Fault("errors without a line", errors) from errors
        if "does not fit the schema" in str(errors):
            raise Fault("an error that nobody can explain", errors) from errors
        told = {line.split(": ", 2)[-1].partition("(")[0] for line in lines}
        return tuple(sorted({re.sub(r"[^a-z ]", "", each)[:40] for each in told}))[:3]
    except Exception as error:
        raise Fault(f"load raises {type(error).__name__}", error) from error
    return "good"


def changed(random: Random, tree: Any) -> Any:
    """*tree* with a few values replaced, moved, repeated or taken away."""
    for _ in range(random.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            break
        parent, key = random.choice(places)
        other, name = random.choice(places)
        kind = random.randrange(5)
        if kind == 0:
            parent[key] = random.choice(_SCALARS)
        elif kind == 1:
            parent[key] = other[name]
        elif kind == 2:
            parent[key] = random.choice(({}, [], [parent[key]], {"a": parent[key]}, [1, "x", None]))
        elif isinstance(parent, dict):
            parent[random.choice((name, f"{key}x", "", "a.b", "${env:A}"))] = parent.pop(key)
        else:
            parent.extend([parent[key]] * random.choice((1, 3, 120)))
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """All (parent, key or index) of *tree*, which may refer to itself by now."""
    seen: set[int] = set()
    rest = [tree]
    while rest and len(seen) < 2000:
        parent = rest.pop()
        if not isinstance(parent, dict | list) or id(parent) in seen:
            continue
        seen.add(id(parent))
        for key in list(parent) if isinstance(parent, dict) else range(len(parent)):
            yield parent, key
            rest.append(parent[key])


def bomb(random: Random) -> bytes:
    """Aliases of aliases, deep nesting, long keys, many of something."""
    width, depth = random.choice((2, 9, 30)), random.choice((3, 9, 20))
    lines = [b"a0: &a0 [x, x]"]
    for level in range(1, depth):
        names = b", ".join([b"*a%d" % (level - 1)] * width)
        lines.append(
            random.choice((b"a%d: &a%d [%b]", b"a%d: &a%d {b: [%b]}")) % (level, level, names)
        )
    count = random.choice((10, 1000, 20_000))
    return random.choice(
        (
            b"\n".join(lines),
            b"\n".join([*lines, b"routes: *a%d" % (depth - 1)]),
            b"a: " + b"[" * count + b"]" * count,
            b"a: " + b"{a: " * min(count, 5000),
            b"".join(b"k%d: {<<: *x}\n" % number for number in range(count // 10)),
            b"x: &x {a: 1}\n" + b"y: {" + b"<<: *x, " * min(count, 5000) + b"}",
            b"a" * count + b": 1",
            b"upstreams: {" + b"u: {}, " * min(count, 5000) + b"}",
            b"? " * min(count, 5000),
            b"- " * min(count, 5000),
            b"a: |\n" + b" x\n" * count,
            b"&a [*a, *a]",
            b"a: &a {b: *a}",
        )
    )


def peak() -> int:
    """The most memory that this process had since `reset_peak`, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def reset_peak() -> None:
    """Begin anew, as Linux allows a process to do for itself (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
