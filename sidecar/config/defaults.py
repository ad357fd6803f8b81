"""The configuration that serves when there is no file: the well-known providers."""

from __future__ import annotations

import pkgutil
from typing import Final

FILE: Final = "(built in)"
"""What errors and the admin API call it."""


def default_text() -> str:
    """The text of `providers.yaml`, to be loaded like any other file's."""
    return packaged("providers.yaml")


def packaged(name: str) -> str:
    """The text of a file of this package; raise FileNotFoundError if it was not installed."""
    data = pkgutil.get_data(__package__, name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")
