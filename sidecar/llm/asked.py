"""What a body asks for, whatever its form."""

from __future__ import annotations

from typing import Final

from sidecar.errors import ModelUnknown

LONGEST: Final = 4096
"""Bytes of a model's name. What is longer is none, and not worth comparing."""
_TRUE: Final = ("true", "t", "yes", "y", "on", "1")


class Asked:
    """The model that was asked for, where the body names one, and whether the reply streams."""

    model: str | None = None
    stream = False
    named = False
    """Whether the body names a model, be it one that we can't read."""
    doubt: ModelUnknown | None = None
    """Why no route may go by `model`: servers read what the body says in different ways."""

    def with_model(self, model: str) -> bytes:
        """The body with *model* in every place where it names one, all other bytes as they were.

        They stay since a signature or a provider's prompt cache may depend on them. Only for what
        `read` returned.
        """
        raise NotImplementedError


NOTHING: Final = Asked()


def is_true(text: bytes) -> bool:
    """Whether servers take *text* for true where they expect a boolean (as pydantic does)."""
    return text.decode("latin-1").lower() in _TRUE
