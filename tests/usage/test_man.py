from __future__ import annotations

import shutil
import subprocess

import pytest

from sidecar.cli import main, man_page, whole_parser
from sidecar.environment import VARIABLES
from sidecar.usage.man import man
from sidecar.usage.tree import tree


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    assert capsys.readouterr().out == man_page()


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_minds_nothing_but_the_date() -> None:
    command = ["mandoc", "-T", "lint"]
    done = subprocess.run(command, input=man_page(), stdout=subprocess.PIPE, check=False, text=True)
    minded = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert minded == []


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_it_has_all_commands_options_and_variables() -> None:
    command = ["mandoc", "-T", "utf8", "-O", "width=100"]
    done = subprocess.run(command, input=man_page().encode(), stdout=subprocess.PIPE, check=True)
    shown = subprocess.run(["col", "-b"], input=done.stdout, stdout=subprocess.PIPE, check=True)
    text = shown.stdout.decode()
    for each in tree(whole_parser()).walk():
        if each.path:
            assert " ".join(("sidecar", *each.path)) in text
            assert [f for f in each.flags if f not in text and f not in ("-h", "--help")] == []
    assert [name for name in VARIABLES if name not in text] == []


def test_signs_that_roff_would_read_are_text() -> None:
    page = man(tree(whole_parser()), "1", {"A": ".so /etc/passwd \\fB"}, {})
    assert "\n\\&.so /etc/passwd \\efB\n" in page
