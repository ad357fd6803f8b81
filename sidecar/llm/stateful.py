"""Ids of what a provider keeps between calls: responses, conversations, files, batches, containers.

Such a thing can be asked for only where it was made. Ids are found by the names of members and
paths in the APIs of OpenAI and Anthropic, in any position, without a whole body being decoded.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST: Final = 256
"""Characters of an id. A longer one is ignored."""
_MOST: Final = 64
"""Reasoning items, and files, of one body that are looked up."""
_WORDS: Final = (b"compact", b"input_tokens")
"""Names behind `responses` that are operations, not ids."""
_PATH: Final = re.compile(
    rb"/(responses|conversations|files|batches|containers|vector_stores|uploads|videos)"
    rb"(?:/([^/]+)|/?$)"
)
_CURSOR: Final = re.compile(rb"(?:^|&)(?:after|before)(?:_id)?=([A-Za-z0-9_.:-]{1,256})(?=&|$)")
"""Where a page of a list begins: behind or before a thing."""
_ASKED: Final = re.compile(
    rb'"(?:(?:(previous_response_id|conversation)|input_file_id|file_id|container)"[ \t\r\n]*+'
    rb':[ \t\r\n]*+(?:\{[ \t\r\n]*+"id"[ \t\r\n]*+:[ \t\r\n]*+)?"([A-Za-z0-9_.:-]{1,256})"'
    rb'|id"[ \t\r\n]*+:[ \t\r\n]*+"((?:rs|cmp)_[A-Za-z0-9_.:-]{1,256})")'
)
"""Members that name what a call continues, and other things; ids of reasoning and compacted items,
whose encrypted content only their maker can read."""
_REFERRED: Final = re.compile(
    rb'\{[ \t\r\n]*+"(?:type"[ \t\r\n]*+:[ \t\r\n]*+"item_reference"[ \t\r\n]*+,[ \t\r\n]*+'
    rb'"id"[ \t\r\n]*+:[ \t\r\n]*+"([A-Za-z0-9_.:-]{1,256})"'
    rb'|id"[ \t\r\n]*+:[ \t\r\n]*+"([A-Za-z0-9_.:-]{1,256})"[ \t\r\n]*+,[ \t\r\n]*+'
    rb'"type"[ \t\r\n]*+:[ \t\r\n]*+"item_reference")'
)
"""Items of the input that stand only there by their ids."""
_REFERENCE: Final = b'"item_reference"'
_HINTS: Final = (
    b'"previous_response_id"', b'"conversation"', b'file_id"', b'"container"', b'"rs_', b'"cmp_',
    _REFERENCE,
)  # fmt: skip
"""A body without any of these has no id, which a search finds at the speed of memory."""
_TOLD: Final = re.compile(
    rb'"(?:id|output_file_id|error_file_id|container_id|file_id)"[ \t\r\n]*+:[ \t\r\n]*+'
    rb'"([A-Za-z0-9_.:-]{1,256})"'
)
_KEPT: Final = (
    b"resp_", b"rs_", b"conv_", b"file-", b"file_", b"batch_", b"msgbatch_", b"cntr_",
    b"container_", b"vs_", b"video_", b"upload_",
)  # fmt: skip
"""How ids of kept things begin; other ids within a reply are those of its messages and calls."""
_ITEM: Final = re.compile(rb"[a-z]{2,6}_")
"""How ids of items begin, of which responses and conversations are made."""
_MADE_OF_ITEMS: Final = ("responses", "conversations")
_TAIL: Final = LONGEST + 64
"""Bytes in which a member with its id fits."""


class Place(NamedTuple):
    """The path of kept things."""

    collection: str
    """As `responses` or `files`."""
    name: str | None
    """The id of the first thing that it names; None: it is that of the collection."""
    cursor: str | None
    """Of a page of a list: the id that the page begins behind, or ends before."""

    @property
    def has_items(self) -> bool:
        """Whether replies tell items, which later calls may refer to."""
        return self.collection in _MADE_OF_ITEMS


def named_in(target: bytes) -> Place | None:
    """Return what the path and query *target* name; None: its path is not that of kept things."""
    path, _, query = target.partition(b"?")
    found = _PATH.search(path)
    if found is None:
        return None
    collection, name = found[1].decode(), found[2]
    if name is not None and name not in _WORDS and len(name) <= LONGEST:
        return Place(collection, name.decode("latin-1"), None)
    cursor = _CURSOR.search(query) if query else None
    return Place(collection, None, None if cursor is None else cursor[1].decode())


def asked_in(body: bytes) -> list[str]:
    """Return the ids that the request *body* refers to, the most telling first.

    These are the response or conversation that it continues, then the items that it refers to,
    then the reasoning items that it repeats, the latest first each, then files and containers.
    Texts have their quotes escaped, so that nothing within a text counts.
    """
    if all(body.find(hint) < 0 for hint in _HINTS):
        return []
    continues: list[str] = []
    reasoning: deque[str] = deque(maxlen=_MOST)
    others: deque[str] = deque(maxlen=_MOST)
    for found in _ASKED.finditer(body):
        if found[3] is not None:
            reasoning.appendleft(found[3].decode())
        elif found[1] is not None:
            continues.append(found[2].decode())
        elif found[2] != b"auto":  # a container that is made for the call
            others.append(found[2].decode())
    referred: deque[str] = deque(maxlen=_MOST)
    if body.find(_REFERENCE) >= 0:
        for found in _REFERRED.finditer(body):
            referred.appendleft((found[1] or found[2]).decode())
    return list(dict.fromkeys((*continues, *referred, *reasoning, *others)))


class Told:
    """Finds the ids that a reply tells, in JSON and in events, split anywhere."""

    def __init__(self, *, items: bool = False) -> None:
        """*items*: those that a reply is made of count too."""
        self._items = items
        self._tail = b""
        self._first = True

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the ids in *data*: the first of the reply, and all of kept things."""
        text = self._tail + data
        for found in _TOLD.finditer(text):
            if (
                self._first
                or found[1].startswith(_KEPT)
                or (self._items and _ITEM.match(found[1]) is not None)
            ):
                self._first = False
                yield found[1].decode()
        self._tail = text[-_TAIL:]
