"""What must hold of all that reads streamed replies, whatever they are."""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Final

from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.hide_usage import UsageHider
from sidecar.llm.include_usage import insert_include_usage
from sidecar.llm.stream import StreamReader
from tests.fuzz.cases import Case, Fault
from tests.fuzz.llm_checks import python
from tests.fuzz.mutate import bytewise
from tests.llm.streams import STREAMS

WORDS: Final = [
    *(b"data: ", b"event: ", b"\n\n", b"\r\n\r\n", b"\r", b"\n", b": c\n", b"[DONE]", b'"error":'),
    *(b'"finish_reason":"stop"', b'"usage":{"prompt_tokens":1}', b'"choices":[]', b"null", b"{}"),
    *(b'"finishReason":"STOP"', b"event: error\n", b"event: message_stop\n", b'"', b'\\"', b"\\"),
    *(b'"type":"response.completed"', b"data: [DONE]\n\n", b"\xef\xbb\xbf", b",", b"["),
]
_LONGEST: Final = 4000
"""Bytes that are also fed one by one, and cut in many places."""


def stream(random: Random) -> bytes:
    """A stream in a documented shape, or pieces of several, with one or other line end."""
    chosen = [random.choice(list(STREAMS.values())) for _ in range(random.choice((1, 1, 1, 2)))]
    events = [event for each in chosen for event in each.events]
    if random.random() < 0.3:
        random.shuffle(events)
    if random.random() < 0.3:
        events *= 2
    return b"".join(events).replace(b"\n", random.choice((b"\n", b"\n", b"\r\n", b"\r")))


def _told(dialect: Dialect, pieces: list[bytes], skim: bool = False) -> tuple[Hashable, ...]:
    """*skim*: as the relay does it, which shows a chunk's data to a shorter way first."""
    reader: StreamReader = APIS[dialect].stream()
    for piece in pieces:
        if not (skim and reader.skims(b"\r\n%b\r\n" % piece, 2, len(piece) + 2)):
            reader.feed(piece)
    verdict = reader.finish("ended")
    error = reader.error
    return (
        *(verdict, reader.content, reader.chunks, reader.terminal, reader.finish_reasons),
        *(
            reader.model,
            reader.response_id,
            str(reader.usage),
            error and (error.kind, error.status),
        ),
    )


def _cut(data: bytes) -> list[list[bytes]]:
    """Ways to cut *data*, which depend on nothing else."""
    random = Random(len(data))  # so that a case is the same again
    places = [random.randint(0, len(data)) for _ in range(8)]
    return [bytewise(data), *([data[:at], data[at:]] for at in places)]


def streams(case: Case) -> Hashable:
    """All dialects tell the same of a stream however it is split."""
    data = case.data[:_LONGEST]
    found = {}
    for dialect in APIS:
        found[dialect] = whole = _told(dialect, [data])
        events = [event + b"\n\n" for event in data.split(b"\n\n")]
        events[-1] = events[-1][:-2]
        for pieces, skim in ((events, True), *((pieces, False) for pieces in _cut(data))):
            other = _told(dialect, pieces, skim)
            if other != whole:
                raise Fault(f"{dialect}: a stream is read in two ways", (whole, other, pieces))
    return tuple(found[dialect][:5] for dialect in APIS)


def hidden(case: Case) -> Hashable:
    """What is hidden is hidden however it is split, and no byte comes to be that was not there."""
    data = case.data[:_LONGEST]
    whole = _shown([data])
    for pieces in _cut(data):
        if _shown(pieces) != whole:
            raise Fault("a stream is shown in two ways", (whole, pieces))
    if len(whole) > len(data) or (data.find(b'"prompt_tokens"') < 0 and whole != data):
        raise Fault("a stream is changed", whole)
    return len(data) - len(whole)


def _shown(pieces: list[bytes]) -> bytes:
    hider = UsageHider()
    return b"".join(hider.feed(piece) for piece in pieces) + hider.finish()


def include_usage(case: Case) -> Hashable:
    """Whoever reads what comes out reads that the usage is asked for, and all else as it was."""
    changed = insert_include_usage(case.data)
    if changed is None:
        return None
    before, after = python(case.data), python(changed)
    if not isinstance(after, list):
        raise Fault("a body is no JSON any more", changed)
    if isinstance(before, list) and _others(before) != _others(after):
        raise Fault("other members are changed", (case.data, changed))
    if dict(dict(after)["stream_options"]).get("include_usage") is not True:
        raise Fault("the usage is not asked for", changed)
    if insert_include_usage(changed) is not None:
        raise Fault("the usage is asked for twice", changed)
    return len(changed) - len(case.data)


def _others(members: list[tuple[str, object]]) -> str:
    return repr([member for member in members if member[0] != "stream_options"])


def asking(random: Random) -> bytes:
    """A body that asks for a stream, mostly."""
    options = (b"", b'"stream_options": null', b'"stream_options":{}', b'"stream_options": {"a":1}')
    members = [b'"stream": true', random.choice(options), b'"model": "m"', b'"messages": []']
    random.shuffle(members)
    return b"{" + b", ".join(member for member in members if member) + b"}"
