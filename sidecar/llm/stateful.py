"""Ids of what a provider keeps between calls: responses, conversations, files, batches, containers.

Such a thing can be asked for only where it was made. Ids are found by the names of members and
paths in the APIs of OpenAI and Anthropic, in any position, without a whole body being decoded.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 256
"""Characters of an id. A longer one is ignored."""
_MOST: Final = 64
"""Reasoning items, and files, of one body that are looked up."""
_WORDS: Final = (b"compact", b"input_tokens")
"""Names behind `responses` that are operations, not ids."""
_PATH: Final = re.compile(
    rb"/(?:responses|conversations|files|batches|containers|vector_stores|uploads|videos)"
    rb"(?:/([^/]+)|/?$)"
)
_ASKED: Final = re.compile(
    rb'"(?:(?:(previous_response_id|conversation)|input_file_id|file_id|container)"[ \t\r\n]*+'
    rb':[ \t\r\n]*+(?:\{[ \t\r\n]*+"id"[ \t\r\n]*+:[ \t\r\n]*+)?"([A-Za-z0-9_.:-]{1,256})"'
    rb'|id"[ \t\r\n]*+:[ \t\r\n]*+"(rs_[A-Za-z0-9_.:-]{1,256})")'
)
"""Members that name what a call continues, and other things; ids of reasoning items."""
_HINTS: Final = (
    b'"previous_response_id"', b'"conversation"', b'file_id"', b'"container"', b'"rs_',
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
_TAIL: Final = LONGEST + 64
"""Bytes in which a member with its id fits."""


def named_in(path: bytes) -> tuple[bool, str | None]:
    """Return whether *path* is that of kept things, and the id of the first one that it names."""
    found = _PATH.search(path.partition(b"?")[0])
    if found is None:
        return False, None
    name = found[1]
    if name is None or name in _WORDS or len(name) > LONGEST:
        return True, None
    return True, name.decode("latin-1")


def asked_in(body: bytes) -> list[str]:
    """Return the ids that the request *body* refers to, the most telling first.

    These are the response or conversation that it continues, then the reasoning items that it
    repeats, the latest first, then files and containers. Texts have their quotes escaped, so that
    nothing within a text counts.
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
    return [*continues, *reasoning, *others]


class Told:
    """Finds the ids that a reply tells, in JSON and in events, split anywhere."""

    def __init__(self) -> None:
        self._tail = b""
        self._first = True

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the ids in *data*: the first of the reply, and all of kept things."""
        text = self._tail + data
        for found in _TOLD.finditer(text):
            if self._first or found[1].startswith(_KEPT):
                self._first = False
                yield found[1].decode()
        self._tail = text[-_TAIL:]
