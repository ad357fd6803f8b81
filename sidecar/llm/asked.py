"""What a body asks for, in any format."""

from __future__ import annotations

from typing import Final

from sidecar.errors import ModelUnknown

LONGEST: Final = 4096
"""Bytes of a model's name. A longer text is not a model."""
_TRUE: Final = ("true", "t", "yes", "y", "on", "1")


class Asked:
    """The model that the body names, if any, and whether it asks for a stream."""

    model: str | None = None
    stream = False
    named = False
    """Whether the body names a model, even one that we can't read."""
    doubt: ModelUnknown | None = None
    """Why routes can't match on `model`: servers read the body differently."""

    def with_model(self, model: str) -> bytes:
        """Return the body with *model* in place of every model that it names.

        All other bytes stay, because a signature or a provider's prompt cache may depend on them.
        Only for objects that `read` returned.
        """
        raise NotImplementedError


NOTHING: Final = Asked()


def is_true(text: bytes) -> bool:
    """Whether servers read *text* as true if they expect a boolean (as pydantic does)."""
    return text.decode("latin-1").lower() in _TRUE
