"""The configuration that serves when there is no file: the well-known providers."""

from __future__ import annotations

import pkgutil
from typing import Final

FILE: Final = "(built in)"
"""Its name in errors and the admin API."""


def default_text() -> str:
    """Return the text of `providers.yaml`, to be loaded like that of any other source."""
    return packaged("providers.yaml")


def packaged(name: str) -> str:
    """Return the text of a file of this package. Raise FileNotFoundError if it is missing."""
    data = pkgutil.get_data(__package__, name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")
