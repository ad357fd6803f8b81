"""Streams with faults of every kind, drawn at random, and what is true of each."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, Literal

from sidecar.llm.dialects import Dialect
from sidecar.llm.stream import Verdict
from tests.llm.streams import DONE, GEMINI_ERROR, PLAIN_USAGE, chunk, data, gemini, named

End = Literal["ended", "cut", "reset", "stalled", "open", "left"]
"""How a server lets its body end; `left`: the caller does not wait for it."""
Marks = frozenset[str]
"""What an event means: content, finish, terminal, error."""
Events = list[tuple[bytes, Marks]]
Places = list[tuple[int, int, Marks]]
"""Where events begin and end in a body."""

NOTHING: Final[Marks] = frozenset()
CONTENT: Final[Marks] = frozenset({"content"})
FINISH: Final[Marks] = frozenset({"finish"})
TERMINAL: Final[Marks] = frozenset({"terminal"})
ERROR: Final[Marks] = frozenset({"error"})
UNKNOWN: Final[Marks] = frozenset({"unknown"})
OPENING: Final[Marks] = CONTENT | FINISH | UNKNOWN
"""What opens a gate."""
TEXTS: Final = ("a", "data: [DONE]\n\n", '"error":{}', "\\", "é\u2028", "event: error\n", "x" * 300)


@dataclass(frozen=True)
class Speech:
    """How an API streams."""

    dialect: Dialect
    path: bytes
    opening: Events
    closing: Events
    overloaded: bytes
    """An error that another attempt may mend."""
    refused: bytes
    """One that none mends."""
    array: bool = False
    """Its events are the elements of an array."""

    def piece(self, text: str) -> bytes:
        """An event with a piece of the answer."""
        if self.array:
            return _element(gemini(text))
        if self.path.endswith(b"messages"):
            delta = {"type": "text_delta", "text": text}
            return named({"type": "content_block_delta", "index": 0, "delta": delta})
        if self.path.endswith(b"responses"):
            return named({"type": "response.output_text.delta", "delta": text})
        if self.dialect == "gemini":
            return data(gemini(text), compact=False)
        return data(chunk({"content": text}))


def _element(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _usage() -> dict[str, Any]:
    return {**chunk({}), "choices": [], "usage": PLAIN_USAGE}


_RESPONSE: Final = {"id": "r", "model": "m"}
_BAD: Final = {"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}
_STREAM: Final = b"/v1beta/models/g:streamGenerateContent?alt=sse"
SPEECHES: Final = (
    Speech(
        "openai", b"/v1/chat/completions",
        [(data(chunk({"role": "assistant", "content": ""})), NOTHING)],
        [(data(chunk({}, "stop")), FINISH), (data(_usage()), NOTHING), (DONE, TERMINAL)],
        data({"error": {"message": "full", "type": "server_error"}}),
        data({"error": {"message": "bad", "type": "invalid_request_error"}}),
    ),
    Speech(
        "openai", b"/v1/responses",
        [(named({"type": f"response.{kind}", "response": _RESPONSE}), NOTHING)
         for kind in ("created", "queued", "in_progress")],
        [(named({"type": "response.completed", "response": {**_RESPONSE, "usage": PLAIN_USAGE}}),
          FINISH | TERMINAL)],
        named({"type": "error", "code": "server_is_overloaded", "message": "full"}),
        named({"type": "response.failed", "response":
               {"error": {"code": "invalid_prompt", "message": "bad"}}}),
    ),
    Speech(
        "anthropic", b"/v1/messages",
        [(named({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}}),
          NOTHING),
         (named({"type": "ping"}), NOTHING),
         (named({"type": "content_block_start", "index": 0,
                 "content_block": {"type": "text", "text": ""}}), NOTHING)],
        [(named({"type": "content_block_stop", "index": 0}), NOTHING),
         (named({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                 "usage": {"output_tokens": 2}}), FINISH),
         (named({"type": "message_stop"}), TERMINAL)],
        named({"type": "error", "error": {"type": "overloaded_error", "message": "full"}}),
        named({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}),
    ),
    Speech(
        "gemini", _STREAM, [],
        [(data(gemini("!", "STOP"), compact=False), CONTENT | FINISH | TERMINAL)],
        data(GEMINI_ERROR),
        data(_BAD),
    ),
    Speech(
        "gemini", _STREAM.partition(b"?")[0], [],
        [(_element(gemini("!", "STOP")), CONTENT | FINISH | TERMINAL)],
        _element(GEMINI_ERROR), _element(_BAD), array=True,
    ),
)  # fmt: skip
GARBAGE: Final = (
    b"data: \xff\xfe\n\n", b"data: nonsense\n\n", b"data: [1, 2\n\n", b"event: zzz\ndata: 1\n\n",
    b"data: {\n\n",
)  # fmt: skip
BLANKS: Final = (b"\n", b"  ", b"\r\n")
COMMENTS: Final = (b": keep-alive\n\n", b":\n\n", b": OPENROUTER PROCESSING\n", b"retry: 100\n\n")


@dataclass
class Drawn:
    """What a server sends, piece by piece, and what comes of it."""

    speech: Speech
    end: End
    fault: str
    events: Events
    wire: list[tuple[float, bytes]] = field(default_factory=list)
    """Reads, head and framing included, each with the seconds before it."""
    verdicts: frozenset[Verdict] = frozenset()
    """The right ones: two where the end is within the event that decides."""
    body: bytes = b""
    """What of the body was sent, coded as it may be."""
    plain: bool = True
    """Without a content coding."""
    bounded: bool = False
    """Its length is told, so that nothing can be added to it."""
    framed: bool = True
    """Its end is told by its framing, not by the end of its connection."""
    mended: bool = False
    """It fails before it has said anything, so that another attempt is made."""
    opens: int = -1
    """Which read brings what opens a gate; -1: none does."""
    begins: int = 0
    """Which read brings the first byte of the body."""
    opens_at: int = -1
    """Where in the body, without its coding, that ends."""

    def seen(self, body: bytes) -> bytes:
        """What a client has of *body*, which may break off."""
        return body if self.plain else zlib.decompressobj(31).decompress(body)


FAULTS: Final = (
    *("none",) * 4, "overloaded", "overloaded within", "refused", "refused within", "cut", "reset",
    "stall", "empty", "comments", "opening", "no terminal", "no finish", "garbage", "open", "left",
)  # fmt: skip


def draw(draws: random.Random) -> Drawn:
    """The next stream."""
    speech = draws.choice(SPEECHES)
    return drawn(speech, draws.choice(FAULTS), draws)


def drawn(speech: Speech, fault: str, draws: random.Random) -> Drawn:
    """A stream of *speech* that has *fault*."""
    events, end = _events(speech, fault, draws)
    comments = BLANKS if speech.array else COMMENTS
    for place in range(len(events), 0, -1):
        if draws.random() < 0.1:
            events.insert(place, (draws.choice(comments), NOTHING))
    if fault == "garbage":
        content = next(n for n, (_, marks) in enumerate(events) if marks & CONTENT)
        place = draws.randrange(len(events))
        unknown = UNKNOWN if place <= content else NOTHING
        garbage = b'{"nobody knows": 1}' if speech.array else draws.choice(GARBAGE)
        events.insert(place, (garbage, unknown))
    if speech.array and (events or draws.random() < 0.5):
        events = _in_array(events)
    found = Drawn(speech, end, fault, events)
    _encode(found, draws)
    return found


def _in_array(events: Events) -> Events:
    """With brackets and commas between them."""
    listed: Events = []
    begin = b"["
    for event, marks in events:
        if event.strip():
            listed.append((begin, NOTHING))
            begin = b",\r\n"
        listed.append((event, marks))
    return [*listed, (b"[\n]" if begin == b"[" else b"\n]", TERMINAL)]


def _events(speech: Speech, fault: str, draws: random.Random) -> tuple[Events, End]:
    opening, closing = list(speech.opening), list(speech.closing)
    pieces = [
        (speech.piece(draws.choice(TEXTS)), CONTENT) for _ in range(draws.choice((1, 2, 5, 9)))
    ]
    error = speech.overloaded if fault.startswith("overloaded") else speech.refused
    marks = TERMINAL if speech.dialect == "openai" else NOTHING
    behind: Events = [(DONE, marks)] if draws.random() < 0.5 and not speech.array else []
    match fault:
        case "overloaded" | "refused":
            return [*opening[: draws.randint(0, 3)], (error, ERROR), *behind], "ended"
        case "overloaded within" | "refused within":
            return [*opening, *pieces, (error, ERROR), *behind], draws.choice(("ended", "cut"))
        case "empty":
            return behind, "ended"
        case "comments":
            return [(one, NOTHING) for one in (BLANKS if speech.array else COMMENTS)], "ended"
        case "opening":
            return [*opening, *behind], "ended"
        case "no terminal":
            return [*opening, *pieces, *[one for one in closing if not one[1] & TERMINAL]], "ended"
        case "no finish":
            return [*opening, *pieces], "ended"
    ends: dict[str, End] = {
        "cut": "cut", "reset": "reset", "stall": "stalled", "open": "open", "left": "left",
    }  # fmt: skip
    return [*opening, *pieces, *closing], ends.get(fault, "ended")


def _encode(found: Drawn, draws: random.Random) -> None:
    """Choose line ends, coding, framing and reads, and where it breaks off."""
    ends = draws.choice((b"\n", b"\n", b"\r\n", b"\r"))
    packed = draws.random() < 0.15
    pack = zlib.compressobj(wbits=31)
    parts: list[bytes] = []
    places: Places = []
    size = 0
    for event, marks in found.events:
        part = event.replace(b"\n", ends)
        places.append((size, size + len(part), marks))
        size += len(part)
        parts.append(pack.compress(part) + pack.flush(zlib.Z_SYNC_FLUSH) if packed else part)
    if packed:
        parts.append(pack.flush())
    sent = size = sum(map(len, parts))
    if found.end in ("cut", "reset", "stalled", "left") and "within" not in found.fault:
        sent = draws.randint(0, size)
    framing = draws.choice(("chunked", "chunked", "odd", "length", "close"))
    if framing == "length" and (found.end == "open" or found.speech.array):
        framing = "chunked"  # an array with a length is no stream
    if framing == "length" and sent == size:
        found.end = "ended"  # whatever follows
    found.plain, found.bounded = not packed, framing == "length"
    found.framed = framing != "close"
    found.body = b"".join(parts)[:sent]
    _judge(found, places, framing)
    reads = _framed(found, parts, framing, draws)
    kind = b"application/json" if found.speech.array else b"text/event-stream"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b; charset=utf-8\r\n" % kind
    head += b"Content-Encoding: gzip\r\n" if packed else b""
    head += b"Content-Length: %d\r\n" % size if framing == "length" else b""
    head += b"Transfer-Encoding: chunked\r\n" if framing in ("chunked", "odd") else b""
    _send(found, [head + b"\r\n", *reads], draws)


def _judge(found: Drawn, places: Places, framing: str) -> None:
    """Say what is true of it, by what of it was sent."""
    came = len(found.seen(found.body))
    arrived = {mark for _, end, marks in places for mark in marks if end <= came}
    begun = {mark for begin, end, marks in places for mark in marks if begin < came < end}
    end = found.end
    if end == "cut" and framing == "close":
        end = "ended"  # nothing tells the two apart
    found.verdicts = frozenset({_verdict(arrived, end), _verdict(arrived | begun, end)})
    found.opens_at = next((end for _, end, marks in places if marks & OPENING), -1)
    found.mended = not arrived & OPENING and end in ("ended", "cut", "reset")
    if "error" in arrived:
        found.mended = found.fault == "overloaded"


def _verdict(marks: set[str], end: End) -> Verdict:
    """The table of docs/dialects.md."""
    said = bool(marks & {"content", "finish"})
    if "error" in marks:
        return "error"
    if "terminal" in marks:
        return "complete" if said else "empty"
    if end == "left":
        return "aborted"
    if end in ("stalled", "open"):
        return "stalled"
    if end in ("cut", "reset"):
        return "truncated"
    if not said:
        return "empty"
    return "complete" if "finish" in marks else "truncated"


def _framed(found: Drawn, parts: list[bytes], framing: str, draws: random.Random) -> list[bytes]:
    """Its body in pieces, with their framing; note which of them brings what opens a gate."""
    if framing != "chunked":
        parts = cut(b"".join(parts), draws)
    reads: list[bytes] = []
    at = 0
    for part in parts:
        piece = found.body[at : at + len(part)]
        at += len(piece)
        if not piece:
            continue
        odd = framing in ("chunked", "odd")
        reads.append(b"%x\r\n%b\r\n" % (len(piece), piece) if odd else piece)
        if found.opens < 0 <= found.opens_at <= len(found.seen(found.body[:at])):
            found.opens = len(reads)
    if found.end == "ended" and framing in ("chunked", "odd"):
        reads.append(b"0\r\n\r\n")
    return reads


def _send(found: Drawn, wire: list[bytes], draws: random.Random) -> None:
    """Say when each read comes. Some come in other pieces than they were written in."""
    found.begins = min(1, len(wire) - 1)
    if draws.random() < 0.4:
        begins = len(wire[0]) + 1
        if b"\r\nTransfer-Encoding" in wire[0] and len(wire) > 1:
            begins += wire[1].index(b"\n") + 1
        opens = sum(map(len, wire[: found.opens + 1]))
        whole = b"".join(wire)
        wire = cut(whole, draws) if draws.random() < 0.6 else [whole]
        sizes = list(accumulate(map(len, wire)))
        found.begins = next((n for n, size in enumerate(sizes) if size >= begins), 0)
        if found.opens >= 0:
            found.opens = next(n for n, size in enumerate(sizes) if size >= opens)
    pace = min(draws.choice((0.0, 0.0, 0.003, 0.05)), 1 / len(wire))
    found.wire = [(pace * draws.random() if n else 0.0, read) for n, read in enumerate(wire)]


def cut(whole: bytes, draws: random.Random) -> list[bytes]:
    """*whole* in pieces of odd sizes, in less than a hundred."""
    most = max(draws.choice((3, 17, 90, 1000)), len(whole) // 50)
    pieces, at = [], 0
    while at < len(whole):
        size = draws.randint(1, most)
        pieces.append(whole[at : at + size])
        at += size
    return pieces
