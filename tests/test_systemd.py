"""packaging/systemd: systemd's own tools have nothing to say against the unit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "packaging" / "systemd"
UNIT = FOLDER / "llm-sidecar.service"
needs = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, for the sidecar of this environment."""
    program = shutil.which("sidecar", path=str(Path(sys.executable).parent))
    assert program is not None
    text = UNIT.read_text()
    assert text.count("/opt/llm-sidecar/bin/sidecar") == 1
    file = tmp_path / UNIT.name
    file.write_text(text.replace("/opt/llm-sidecar/bin/sidecar", program))
    (tmp_path / f"{UNIT.name}.d").mkdir()
    shutil.copy(FOLDER / "credentials.conf", tmp_path / f"{UNIT.name}.d")
    return file


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs
def test_the_unit_is_good(unit: Path) -> None:
    assert analyze("verify", "--man=no", unit) == ""


@needs
def test_it_exposes_little(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+) OK", said)
    assert found is not None
    assert float(found[1]) < 1.5


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd-sysusers")
def test_the_user_for_interception_is_the_one_that_redirect_rules_leave_alone() -> None:
    command = ["systemd-sysusers", "--dry-run", "--root=/none", str(FOLDER / "sysusers.conf")]
    said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
    assert "llm-sidecar" in said
    assert "1414" in said
