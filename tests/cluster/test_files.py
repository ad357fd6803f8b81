"""Files of other programs' formats, by their schemas and linter: Compose, GitHub's workflows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chart import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
FILES = [
    ("compose-spec", ROOT / "docs" / "examples" / "compose" / "compose.yaml"),
    ("dependabot", ROOT / ".github" / "dependabot.yml"),
    *(("github-workflows", file) for file in WORKFLOWS),
]


@pytest.mark.parametrize(("schema", "file"), FILES, ids=[file.name for _, file in FILES])
def test_it_fits_its_schema(schema: str, file: Path) -> None:
    judge = Path(sys.executable).with_name("check-jsonschema")
    command = [str(judge), "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_linter_has_nothing_to_say_about_workflows() -> None:
    """It also gives their scripts to shellcheck, if that is installed."""
    if "ACTIONLINT" not in os.environ:
        pytest.skip("Go is not installed")
    done = subprocess.run(
        [os.environ["ACTIONLINT"], *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_named_by_their_commits(file: Path) -> None:
    """A tag can be moved to other code. The comment tells people, and Dependabot, which it was."""
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"\./\S+|\S+@[0-9a-f]{40} # v[\d.]+", action), action
