"""Make one request of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.llm.batch.asked import Asked


def merge(together: Sequence[Asked]) -> bytes:
    """Return the body that asks for all items of *together*, whose `rest`s are equal."""
    items = b",".join([item for asked in together for item in asked.items])
    return b'%b,"input":[%b]}' % (together[0].rest[:-1], items)
