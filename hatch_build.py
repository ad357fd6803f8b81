"""What a build adds: the README's links, URLs, the man page and completion for shells.

The man page and the scripts are made from the command line's own definitions, and land where a
system (or pipx) looks for them: `share/man`, `share/bash-completion` and so on.

On PyPI a README is read far from its repository, where relative links lead nowhere. The release
sets `PROJECT_URL` (the repository) and `PROJECT_REF` (the tag); other builds leave the links alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


_SHARED = {
    "man": "share/man/man1/sidecar.1",
    "bash": "share/bash-completion/completions/sidecar",
    "zsh": "share/zsh/site-functions/_sidecar",
    "fish": "share/fish/vendor_completions.d/sidecar.fish",
}


class Shared(BuildHookInterface):  # type: ignore[type-arg]
    """Adds files that are made from the code to a wheel, but not to an editable one."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write them, and tell where they go."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from sidecar.cli import completion, man_page

        self.made = Path(tempfile.mkdtemp())
        for name, place in _SHARED.items():
            file = self.made / name
            file.write_text(man_page() if name == "man" else completion(name), encoding="utf-8")
            build_data["shared_data"][str(file)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if version != "editable":
            shutil.rmtree(self.made)


class Published(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add to *metadata* what only the place of publication knows."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        ref = os.environ.get("PROJECT_REF", "main")
        metadata["urls"] = urls(url, ref) if url else {}
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, url, ref) if url else text,
        }


def urls(url: str, ref: str) -> dict[str, str]:
    """Return what PyPI shows beside the package."""
    return {
        "Homepage": url,
        "Documentation": f"{url}/tree/{ref}/docs",
        "Changelog": f"{url}/blob/{ref}/CHANGELOG.md",
        "Issues": f"{url}/issues",
        "Security": f"{url}/blob/{ref}/SECURITY.md",
    }


def absolute(text: str, url: str, ref: str) -> str:
    """Return *text* with links and pictures that lead into the repository at *url*."""
    return _RELATIVE.sub(
        lambda found: (
            f"{found[1]}[{found[2]}]({url}/{'raw' if found[1] else 'blob'}/{ref}/{found[3]})"
        ),
        text,
    )
