"""Mistakes that people make, one at a time, in a configuration that is good without it.

Most are from tries of new users, and from threads about other gateways: units, indentation, keys
of another program, secrets with a line break, globs taken for regular expressions. Run as a module,
it writes docs/mistakes.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import yaml

_HERE: Final = Path(__file__).parent
GOOD: Final = (_HERE / "good.yaml").read_text(encoding="utf-8")
_ORDER: Final = (
    "syntax", "values", "names", "addresses", "routes", "secrets", "policies", "rest",
)  # fmt: skip
_HEAD: Final = """\
# Mistakes, and what is told of them

<!-- Written by `python -m tests.config.mistakes.table > docs/mistakes.md`; change its tables instead. -->

Each of these was made in a good configuration, and a test looks at what `sidecar check` says of it: file,
line, key, and what to do. `sidecar run` refuses the errors in the same words, and its log has the warnings at
the start and at each reload. `check --strict` takes warnings for errors.
"""  # noqa: E501


class Mistake(NamedTuple):
    """One mistake, and what is told of it."""

    name: str
    """What somebody did."""
    right: str
    wrong: str
    """What stands in the place of `right`."""
    told: str
    """What the message has, above all what to do."""
    key: str = ""
    """The key that is told; empty where the text is no YAML."""
    line: str = ""
    """What the line that is told has in it; absent: the last part of `key`."""
    only: str = ""
    """`a warning`; absent: it is an error."""

    @property
    def text(self) -> str:
        """The configuration with the mistake."""
        assert GOOD.count(self.right) == 1, f"one mistake, and one only: {self.name}"
        return GOOD.replace(self.right, self.wrong)

    @property
    def on(self) -> str:
        """A part of the line that is told."""
        return self.line or self.key.rpartition(".")[2].partition("[")[0]


def tables() -> Iterator[tuple[str, list[Mistake]]]:
    """Yield what each table is about, and its mistakes."""
    for name in _ORDER:
        text = (_HERE / f"{name}.yaml").read_text(encoding="utf-8")
        about = text.partition("\n")[0].removeprefix("# ").rstrip(".")
        yield about, [Mistake(**entry) for entry in yaml.safe_load(text)]


MISTAKES: Final = [mistake for _, table in tables() for mistake in table]


def page() -> str:
    """Return the page for people."""
    parts = [_HEAD]
    for about, table in tables():
        parts.append(f"\n## {about}\n\n| mistake | key | told |\n|---|---|---|")
        for each in table:
            told = each.told.replace("|", "\\|")
            kind = "warning: " if each.only else ""
            parts.append(f"| {each.name} | {f'`{each.key}`' if each.key else ''} | {kind}{told} |")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
