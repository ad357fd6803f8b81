"""What a request for embeddings asks for: its items, and everything else, which must be equal."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

_MOST_MEMBERS: Final = 64
"""Members of a request. The API has seven."""
_BYTES: Final = 4
"""Bytes of a text for each token, about (OpenAI, "What are tokens and how to count them?")."""
_EMPTY: Final = (b'""', b"[]")
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_raws: Final = msgspec.json.Decoder(list[Raw]).decode
_text: Final = msgspec.json.Decoder(str).decode
_texts: Final = msgspec.json.Decoder(list[str]).decode
_tokens: Final = msgspec.json.Decoder(list[int]).decode
_lists: Final = msgspec.json.Decoder(list[list[int]]).decode
_encode: Final = msgspec.json.Encoder().encode
_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class Asked(NamedTuple):
    """One request. Equal `rest`s and `kind`s may travel together."""

    items: tuple[bytes, ...]
    """Each text or list of tokens, as JSON, as it was written."""
    tokens: tuple[int, ...]
    """Of each item: counted if it is a list of tokens, else estimated."""
    kind: bytes
    """`text` or `tokens`: APIs take lists of either, not of both."""
    rest: bytes
    """The other members, as JSON, in the order of their names."""
    places: tuple[int, ...]
    """The index of each item in the caller's input."""
    empty: tuple[int, ...]
    """The indices of empty items, which are not among `items`."""

    @property
    def size(self) -> int:
        """Bytes of the items."""
        return sum(map(len, self.items))


class Empty(NamedTuple):
    """A request all of whose items are empty."""

    items: int


def read(body: bytes) -> Asked | Empty | None:
    """Read the *body* of a request; None if it can't travel with others.

    So it is if readers may read it differently (members that are named twice), if its input is no
    text, tokens or list of either, and if it says something that we would have to change.
    """
    try:
        compact = msgspec.json.format(body, indent=-1)
        found = _members(compact)
        if len(found) > _MOST_MEMBERS or _encode(found) != compact or "model" not in found:
            return None
        given = found.pop("input", None)
        if given is None or bytes(found.get("stream", b"false")) != b"false":
            return None
        read_ = _items(bytes(given))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if read_ is None:
        return None
    kind, items = read_
    if not items:
        return None
    empty = tuple(index for index, item in enumerate(items) if item in _EMPTY)
    if len(empty) == len(items):
        return Empty(len(items))
    places = tuple(index for index, item in enumerate(items) if item not in _EMPTY)
    kept = tuple(items[index] for index in places)
    return Asked(kept, tuple(map(_count, kept)), kind, _sorted(found), places, empty)


def _items(given: bytes) -> tuple[bytes, list[bytes]] | None:
    """Take a compact input apart. Every part is decoded once, so that one bad item harms nobody."""
    first = given[:1]
    if first == b'"':
        _text(given)
        items = [given]
    elif first != b"[":
        return None
    elif given[1:2] == b'"':
        _texts(given)
        items = list(map(bytes, _raws(given)))
    elif given[1:2] == b"[":
        _lists(given)
        return b"tokens", list(map(bytes, _raws(given)))
    else:
        return (b"tokens", [given]) if _tokens(given) else None
    return b"text", items


def _count(item: bytes) -> int:
    if item[:1] == b"[":
        return item.count(b",") + 1
    return max(1, (len(item) - 2) // _BYTES)
