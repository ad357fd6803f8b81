"""How large a prompt is, by a rule without a tokenizer, and dropping its oldest turns.

The rule: the bytes of its JSON in UTF-8, divided by the bytes that a token takes. An escape such as
`\\u4e2d` counts as three bytes, as the character does in UTF-8. A run of 512 or more characters
without a space (an image in base64) counts as 1,000 tokens. It is an estimate, and is called one
wherever it is shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sidecar.llm.dialects import Dialect
from sidecar.llm.splice import UNREADABLE, Body, Place

PROMPT: Final = (
    "messages", "system", "instructions", "input", "prompt", "contents", "systemInstruction",
    "system_instruction", "message", "chat_history", "preamble", "tools", "documents",
)  # fmt: skip
"""Members whose text a model reads."""
_TURNS: Final = ("messages", "contents", "input", "chat_history")
_LONG: Final = 512
_STEP: Final = _LONG // 2
_OTHER: Final = re.compile(rb"[^A-Za-z0-9+/=_-]")
"""What ends a run of base64, in either alphabet."""
_LONG_TOKENS: Final = 1000
_ESCAPE: Final = b"\\u"
_SYSTEM: Final = ("system", "developer")

Over = Literal["refuse", "drop"]


class Context(NamedTuple):
    """The largest prompt, in estimated tokens."""

    tokens: int
    bytes_per_token: float
    over: Over
    """What happens to a larger one: it is refused, or loses its oldest turns."""


class TooLong(Exception):
    """The prompt is too long, and may not, or can't, be made shorter."""

    def __init__(self, estimate: int, most: int) -> None:
        super().__init__()
        self.estimate = estimate
        self.most = most


class Dropped(NamedTuple):
    """What was dropped."""

    messages: int = 0
    tokens: int = 0
    """Estimated."""


def message_for(dialect: Dialect, error: TooLong) -> str:
    """Say that a prompt is too long, in the words that the API's clients look for."""
    told = f"about {error.estimate} tokens"
    if dialect == "anthropic":
        return f"prompt is too long: {told} > {error.most} maximum (estimated by the sidecar)"
    if dialect == "gemini":
        return (
            f"The input token count ({told}) exceeds the maximum number of tokens allowed "
            f"({error.most}). The count is estimated by the sidecar."
        )
    return (
        f"This model's maximum context length is {error.most} tokens here. However, your messages "
        f"resulted in {told}, as the sidecar estimates. Please reduce the length of the messages."
    )


def estimate(text: bytes, bytes_per_token: float) -> float:
    """Return the tokens that *text*, of JSON, is estimated to be."""
    size = len(text)
    escapes = text.count(_ESCAPE) if _ESCAPE in text else 0
    images = 0
    for run in _long_runs(text) if size >= _LONG else ():
        size -= run
        images += 1
    return max(0, size - 3 * escapes) / bytes_per_token + images * _LONG_TOKENS


def _long_runs(text: bytes) -> Iterator[int]:
    """Yield the lengths of long runs of base64.

    Each has a whole block of half that length in it. Most blocks have another byte near their
    beginning, which takes a tenth of the time of looking at every byte.
    """
    at = 0
    while at + _STEP <= len(text):
        if _OTHER.search(text, at, at + _STEP):
            at += _STEP
            continue
        backwards = text[max(0, at - _STEP) : at][::-1]
        start = _OTHER.search(backwards)
        stop = _OTHER.search(text, at + _STEP)
        end = len(text) if stop is None else stop.start()
        length = end - at + (len(backwards) if start is None else start.start())
        if length >= _LONG:
            yield length
        at = end


def fit(body: Body, context: Context) -> Dropped:
    """Bring the prompt of *body* within *context*. Raise TooLong if it is refused.

    A turn is a user's message with all that follows it, up to the user's next; so the results of
    tools are in the turn of their calls. Turns are dropped whole, the oldest first, and as few as
    suffice. What goes before the first of them (system and developer messages, anywhere) stays, and
    so does the last turn. Where a call and its result are in two turns, both stay or neither.
    """
    by, values = context.bytes_per_token, {p: body.value(p) for p in body.places(*PROMPT)}
    total = sum(estimate(value, by) for value in values.values())
    if total <= context.tokens:
        return Dropped()
    if context.over == "refuse":
        raise TooLong(math.ceil(total), context.tokens)
    for name in _TURNS:
        for place in list(body.places(name)):
            dropped = _drop(body, name, place, total - context.tokens, by)
            if dropped is not None:
                return dropped
    raise TooLong(math.ceil(total), context.tokens)


class _Message(msgspec.Struct):
    role: Any = None
    type: Any = None
    content: Any = None
    parts: Any = None
    tool_calls: Any = None
    tool_call_id: Any = None
    call_id: Any = None


_decode: Final = msgspec.json.Decoder(_Message).decode


class _Item(NamedTuple):
    place: Place
    tokens: float
    turn: int
    """0: before the first turn, or a system message, which stay."""
    ids: frozenset[str]
    """Of the calls of tools that it makes or answers."""


def _drop(body: Body, name: str, place: Place, excess: float, by: float) -> Dropped | None:
    """Drop turns of the list at *place*; None if that can't be done, or is not enough."""
    try:
        items = _items(body, place, by)
    except UNREADABLE:
        return None
    cut = _cut(items, excess)
    if cut is None:
        return None
    gone = [item for item in items if 0 < item.turn < cut]
    kept = [item.place for item in items if not 0 < item.turn < cut]
    text = b",".join(body.value(place) for place in kept)
    body.replace((name,), b"[" + text + b"]")
    return Dropped(len(gone), round(sum(item.tokens for item in gone)))


def _cut(items: list[_Item], excess: float) -> int | None:
    """Return the first turn that stays, so that those before it have *excess* tokens."""
    last = max((item.turn for item in items), default=0)
    tokens = [0.0] * (last + 2)
    first_of: dict[str, int] = {}
    last_of: dict[str, int] = {}
    for item in items:
        tokens[item.turn] += item.tokens
        for each in item.ids:
            first_of[each] = min(item.turn or last, first_of.get(each, last))
            last_of[each] = max(item.turn or last, last_of.get(each, 0))
    split = [0] * (last + 2)
    """Of each cut, added up: calls whose result is on its other side."""
    for each, turn in first_of.items():
        split[turn + 1] += 1
        split[last_of[each] + 1] -= 1
    gone, parted = 0.0, split[0] + split[1]
    for cut in range(2, last + 1):
        gone += tokens[cut - 1]
        parted += split[cut]
        if gone >= excess and not parted:
            return cut
    return None


def _items(body: Body, place: Place, by: float) -> list[_Item]:
    turn = 0
    found: list[_Item] = []
    for at in body.items(place):
        message = _decode(body.strictly(at))
        system = message.role in _SYSTEM
        turn += _begins_turn(message)
        ids = frozenset(_ids(message))
        found.append(_Item(at, estimate(body.value(at), by), 0 if system else max(turn, 1), ids))
    return found


def _begins_turn(message: _Message) -> bool:
    """Whether a user says something, and not a tool."""
    if message.role not in ("user", "USER", "User"):
        return False
    parts = message.content if isinstance(message.content, list) else message.parts
    if not isinstance(parts, list):
        return True
    return not any(_is_result(part) for part in parts)


def _is_result(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return (
        (isinstance(kind, str) and kind.endswith("tool_result"))
        or "functionResponse" in part
        or "function_response" in part
        or "toolResult" in part
    )


def _ids(message: _Message) -> Iterator[str]:
    """Yield the ids of the calls that *message* makes or answers, in any API's members."""
    calls = message.tool_calls if isinstance(message.tool_calls, list) else []
    parts = message.content if isinstance(message.content, list) else []
    held = [message.tool_call_id, message.call_id]
    for part in (*calls, *parts):
        if isinstance(part, dict):
            inner = (part, part.get("toolUse"), part.get("toolResult"))
            for each in inner:
                if isinstance(each, dict):
                    held += [each.get("tool_use_id"), each.get("toolUseId")]
                    if part in calls or str(each.get("type")).endswith("tool_use"):
                        held.append(each.get("id"))
    yield from (each for each in held if isinstance(each, str))
