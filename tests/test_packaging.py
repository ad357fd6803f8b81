"""The wheel and the sdist: what is in them, and that what is installed from them carries a call."""

from __future__ import annotations

import email
import email.message
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from hatch_build import absolute
from sidecar import __version__
from sidecar.cli import completion, man_page
from tests.test_app import free_port
from tests.test_docs import blocks

ROOT = Path(__file__).parents[1]
WHEEL = f"llm_sidecar_proxy-{__version__}-py3-none-any.whl"
SDIST = f"llm_sidecar_proxy-{__version__}.tar.gz"


def build(source: Path, into: Path, kind: str, more: Mapping[str, str] | None = None) -> Path:
    """Build as `pip wheel --no-build-isolation` does; the path of what was built."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **(more or {})}
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return into / (WHEEL if kind == "wheel" else SDIST)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


def committed() -> set[str]:
    """All files of the package: code, and what it reads, whatever it is."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "sidecar"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return set(listed.stdout.split())


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def metadata(wheel: Path) -> email.message.Message:
    folder = WHEEL.removesuffix("-py3-none-any.whl") + ".dist-info"
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(f"{folder}/METADATA"))


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    packaged = {name for name in names(wheel) if not name.startswith("llm_sidecar_proxy-")}
    assert packaged == committed()
    assert {"sidecar/py.typed", "sidecar/config/providers.yaml"} <= packaged


def test_the_man_page_and_the_shells_scripts_are_where_they_are_looked_for(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    folder = f"llm_sidecar_proxy-{__version__}.data/data/share"
    made = {
        name: archive.read(f"{folder}/{name}").decode()
        for name in (
            "man/man1/sidecar.1",
            "bash-completion/completions/sidecar",
            "zsh/site-functions/_sidecar",
            "fish/vendor_completions.d/sidecar.fish",
        )
    }
    assert made.pop("man/man1/sidecar.1") == man_page()
    assert list(made.values()) == [completion(shell) for shell in ("bash", "zsh", "fish")]


def test_it_says_who_it_is(wheel: Path) -> None:
    said = metadata(wheel)
    assert (said["Name"], said["Version"]) == ("llm-sidecar-proxy", __version__)
    assert (said["License-Expression"], said["License-File"]) == ("Apache-2.0", "LICENSE")
    assert said.get_all("Provides-Extra") == ["redis"]
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    assert str(said.get_payload()).startswith("# llm-sidecar")


def test_both_are_the_same_whenever_they_are_built(
    wheel: Path, sdist: Path, tmp_path: Path
) -> None:
    for built, kind in ((wheel, "wheel"), (sdist, "sdist")):
        assert build(ROOT, tmp_path / kind, kind).read_bytes() == built.read_bytes()


def test_the_sdist_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        # Python 3.11.2, as in Debian 12, has no filter; 3.12 and 3.13 warn without one.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    source = tmp_path / SDIST.removesuffix(".tar.gz")
    assert not {"tests", "bench", "charts"} & {path.name for path in source.iterdir()}
    again = build(source, tmp_path / "again", "wheel")
    assert again.read_bytes() == wheel.read_bytes()


def test_links_lead_into_the_repository_where_it_is_published(tmp_path: Path) -> None:
    place = "https://forge.example/team/llm-sidecar"
    built = build(ROOT, tmp_path, "wheel", {"PROJECT_URL": place, "PROJECT_REF": "v9"})
    said = metadata(built)
    assert f"Changelog, {place}/blob/v9/CHANGELOG.md" in said.get_all("Project-URL", [])
    text = str(said.get_payload())
    assert f"({place}/blob/v9/docs/operations.md)" in text
    assert f"({place}/raw/v9/docs/resilience.png)" in text
    assert re.findall(r"\]\((?!https?://|#)", text) == []


def test_other_links_stay() -> None:
    text = "[a](https://a.example/b), [c](#d)"
    assert absolute(text, "https://forge.example", "v9") == text


class Installed:
    """A fresh environment with the wheel, in a folder where nothing else is."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.empty = folder / "venv" / "bin", folder / "empty"
        self.empty.mkdir()
        venv.create(folder / "venv", with_pip=True)

    def run(self, program: str, *arguments: str | Path) -> str:
        """What it prints. Python knows nothing of this machine's settings, pip knows its own."""
        keep = ("PATH", "PIP_", "SSL_", "XDG_CACHE", "HOME") if program == "pip" else ("PATH",)
        environment = {key: value for key, value in os.environ.items() if key.startswith(keep)}
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.empty,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    made = Installed(tmp_path_factory.mktemp("installed"))
    lock = ROOT / "locks" / "runtime.txt"
    made.run("pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", lock)
    made.run("pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    return made


@pytest.mark.timeout(300)  # the locked packages may have to be downloaded
def test_what_is_installed_lacks_nothing(installed: Installed) -> None:
    installed.run("pip", "check")
    assert installed.run("sidecar", "--version").startswith(f"llm-sidecar {__version__} (Python 3.")


@pytest.mark.timeout(300)
def test_what_is_installed_carries_a_call(installed: Installed) -> None:
    ports = ["--port", str(free_port()), "--admin-port", str(free_port())]
    said = installed.run("sidecar", "demo", "--once", *ports)
    assert "HTTP 200" in said
    (shown,) = [each for each in blocks(ROOT / "README.md", "text") if each.startswith("1. 3 sim")]
    assert set(_without_numbers(shown).splitlines()) <= set(_without_numbers(said).splitlines())
    assert list(installed.empty.iterdir()) == []


def _without_numbers(text: str) -> str:
    """Ports and ids differ from one run to another, and so do the words that are drawn."""
    text = re.sub(r"[0-9a-f]{32}|(?<=:)\d+|(?<=sim-)\d", "N", text)
    return re.sub(r"(?m)^   You said: .*$", "   You said: ...", text)
