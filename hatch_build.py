"""What the package says of itself where it is published: its README's links, its URLs.

On PyPI a README is read far from its repository, where relative links lead nowhere. The release
sets `PROJECT_URL` (the repository) and `PROJECT_REF` (the tag); other builds leave the links alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


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
