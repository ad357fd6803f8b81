"""Split the reply to a joint request: a body for each caller, with the vectors' own bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from sidecar.llm.batch.share import shares

_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_rows: Final = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_index: Final = msgspec.json.Decoder(int).decode
_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """What nearly every reply has, and nothing else: read in one pass instead of two."""

    object: Raw
    data: list[dict[str, Raw]]
    model: Raw
    usage: Raw


_usual: Final = msgspec.json.Decoder(_Usual).decode


class Part(NamedTuple):
    """What one caller is to get."""

    places: Sequence[int]
    """The index that each of its items has in its reply, in the order of the joint request."""
    tokens: int
    """Its share of the tokens is in proportion to it."""


class Answer(NamedTuple):
    """The reply to one caller."""

    body: bytes
    usage: Mapping[str, Any]
    """Its share of what the joint reply tells; empty if it tells nothing."""
    model: str | None
    """The model that answered."""


def split(body: bytes, parts: Sequence[Part]) -> list[Answer] | None:
    """Return the answer to each of *parts*, which are in the order of the joint request.

    None if *body* does not have exactly one vector for each item. Members that we don't know go to
    all of them.
    """
    try:
        found, given = _taken_apart(body)
        rows = _in_order(given)
        usage = _any(found["usage"]) if "usage" in found else None
        model = _any(found["model"]) if "model" in found else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    if rows is None or len(rows) != sum(len(part.places) for part in parts):
        return None
    told = _shared(usage, [part.tokens for part in parts])
    name = model if isinstance(model, str) else None
    answers = []
    at = 0
    for part, its_usage in zip(parts, told, strict=True):
        mine = rows[at : at + len(part.places)]
        at += len(part.places)
        data = b",".join([_row(row, place) for row, place in zip(mine, part.places, strict=True)])
        own = {"data": Raw(b"[%b]" % data)}
        if "usage" in found:
            own["usage"] = Raw(_encode(its_usage))
        known = its_usage if isinstance(its_usage, dict) else {}
        answers.append(Answer(_encode({**found, **own}), known, name))
    return answers


def _taken_apart(body: bytes) -> tuple[dict[str, Raw], list[dict[str, Raw]]]:
    """Return the members of *body* (a place for `data` will do) and the rows of its data."""
    try:
        usual = _usual(body)
    except msgspec.ValidationError:
        found = _members(body)
        return found, _rows(found["data"])
    known = {"object": usual.object, "data": Raw(), "model": usual.model, "usage": usual.usage}
    return known, usual.data


def _in_order(rows: list[dict[str, Raw]]) -> list[dict[str, Raw]] | None:
    """Return *rows* by their index; None unless each has a vector, and its own index from 0 on."""
    ordered: list[dict[str, Raw] | None] = [None] * len(rows)
    for row in rows:
        place = _index(row["index"])
        if "embedding" not in row or not 0 <= place < len(rows) or ordered[place] is not None:
            return None
        ordered[place] = row
    return [row for row in ordered if row is not None]


def _row(row: dict[str, Raw], place: int) -> bytes:
    return _encode({**row, "index": place})


def _shared(told: Any, weights: Sequence[int]) -> list[Any]:
    """Share out every count in *told*; whatever is no count goes to all."""
    if isinstance(told, dict):
        parts = [_shared(value, weights) for value in told.values()]
        return [
            dict(zip(told, values, strict=True))
            for values in (zip(*parts, strict=True) if parts else [()] * len(weights))
        ]
    if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
        return list(shares(told, weights))
    if isinstance(told, float) and told >= 0:
        if told.is_integer():  # some servers write 12.0
            return list(shares(int(told), weights))
        whole = sum(weights) or len(weights)  # what it cost
        return [told * weight / whole for weight in (weights if any(weights) else [1] * whole)]
    return [told] * len(weights)
