"""A call as a sequence diagram: application, sidecar, endpoints. As steps, and as Mermaid's text.

Texts from outside (a path, a model, an error's message) must neither break nor extend the diagram.
Mermaid ends a statement at `;` and at a line's end, begins an entity with `#`, a comment or a
directive with `%%`, and formulas with `$$`; entities (`#59;`) stand for everything but plain
letters, digits and a few signs. https://mermaid.js.org/syntax/sequenceDiagram.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from sidecar.observe.escape import escape_text
from sidecar.observe.record import CallRecord, Try
from sidecar.observe.told import cost, ended, milliseconds, outcome, reason, tokens, try_outcome

_LONGEST: Final = 100
"""Characters of a text from outside; a diagram is no place for more."""
_UNSAFE: Final = re.compile(r"[^\w .,:/()?=+'→…-]")
# Mermaid takes `style...:...#...;` and `classDef` for statements before it parses anything.
_STATEMENT: Final = re.compile("style|classDef", re.IGNORECASE)
_ARROWS: Final = {"asks": "->>", "answers": "-->>", "ends": "-x", "breaks": "--x"}

Kind = Literal["asks", "answers", "ends", "breaks", "note"]


class Participant(msgspec.Struct, frozen=True):
    """Who takes part."""

    id: str
    name: str


class Step(msgspec.Struct, frozen=True):
    """A message from one participant to another, or a note over both."""

    at: float
    """Milliseconds since the call's arrival."""
    kind: Kind
    """`ends`: the sender breaks off what it has asked. `breaks`: its answer failed."""
    source: str
    target: str
    lines: tuple[str, ...]


class Sequence(msgspec.Struct, frozen=True):
    """A call, in the order in which things happened. Texts are as they came."""

    participants: list[Participant]
    steps: list[Step]


def sequence(call: CallRecord) -> Sequence:
    """Tell *call* in steps."""
    names = list(dict.fromkeys(one.endpoint for one in call.tries))
    ids = {name: f"e{number}" for number, name in enumerate(names, 1)}
    participants = [Participant("app", "application"), Participant("sidecar", "sidecar")]
    participants += [Participant(ids[name], name) for name in names]
    events = sorted(_events(call, ids), key=lambda step: step.at)
    return Sequence(participants, [_asked(call), *events, _answer(call)])


def diagram(call: CallRecord) -> str:
    """Draw *call* for Mermaid, with times in milliseconds from its arrival."""
    told = sequence(call)
    lines = ["sequenceDiagram"]
    for who in told.participants:
        named = who.id == who.name
        lines.append(f"participant {who.id}" + ("" if named else f" as {text(who.name)}"))
    lines += map(_line, told.steps)
    return "\n    ".join(lines) + "\n"


def text(outside: str) -> str:
    """*outside* as a text of Mermaid's, on one line and not too long."""
    if len(outside) > _LONGEST:
        outside = outside[: _LONGEST - 1] + "…"
    safe = _UNSAFE.sub(_entity, escape_text(outside))
    return _STATEMENT.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", safe)


def _entity(found: re.Match[str]) -> str:
    return f"#{ord(found[0])};"


def _line(step: Step) -> str:
    said = "<br/>".join(map(text, step.lines))
    if step.kind != "note":
        return f"{step.source}{_ARROWS[step.kind]}{step.target}: {said}"
    over = step.source if step.source == step.target else f"{step.source},{step.target}"
    return f"Note over {over}: {said}"


def _asked(call: CallRecord) -> Step:
    parts = [f"{call.method} {call.path}", call.model, "stream" if call.stream else ""]
    lines = tuple(part for part in parts if part.strip()) or ("a call",)
    return Step(0.0, "asks", "app", "sidecar", lines)


def _answer(call: CallRecord) -> Step:
    end = f"at {milliseconds(call.duration_ms)}"
    if call.error == "caller_left":
        return Step(call.duration_ms, "ends", "app", "sidecar", ("the caller left", end))
    read = tokens(call)
    told = [outcome(call), f"{read} tokens" if read else "", cost(call) if call.cost else ""]
    told.append(f"finish {call.finish}" if call.finish else "")
    lines = (*filter(None, told), end)
    kind: Kind = "answers" if call.status else "breaks"
    return Step(call.duration_ms, kind, "sidecar", "app", lines)


def _events(call: CallRecord, ids: dict[str, str]) -> Iterator[Step]:
    for note in call.notes:
        if note.what != "error":
            shown = f"{note.what.replace('_', ' ')}: {note.text}"
            yield Step(note.at_ms, "note", "sidecar", "sidecar", (shown,))
    for number, one in enumerate(call.tries, 1):
        yield from _attempt(number, one, call, ids[one.endpoint])
    if call.stream and call.first_byte_ms and call.status:
        lines = (str(call.status), f"begins at {milliseconds(call.first_byte_ms)}")
        yield Step(call.first_byte_ms, "answers", "sidecar", "app", lines)
    for note in call.notes:
        if note.what == "error":
            yield Step(call.duration_ms, "note", "app", "sidecar", (note.text,))


def _attempt(number: int, one: Try, call: CallRecord, endpoint: str) -> Iterator[Step]:
    name = f"attempt {number}, {reason(one)}"
    end = ended(one, call)
    at = f"at {milliseconds(end)}"
    if not one.sent_ms:
        lines: tuple[str, ...] = (name, f"not sent, {try_outcome(one)}", at)
        yield Step(one.began_ms, "ends", "sidecar", endpoint, lines)
        return
    waited = one.sent_ms - one.began_ms
    wait = f", {milliseconds(waited)} for a connection" if waited >= 1 else ""
    again = ", sent again" if one.replayed else ""
    lines = (name, f"at {milliseconds(one.sent_ms)}{wait}{again}")
    yield Step(one.sent_ms, "asks", "sidecar", endpoint, lines)
    if one.content_ms:
        lines = ("first content", f"at {milliseconds(one.content_ms)}")
        yield Step(one.content_ms, "answers", endpoint, "sidecar", lines)
    lines = (try_outcome(one), at)
    if one.error == "outrun":
        yield Step(end, "ends", "sidecar", endpoint, lines)
    else:
        yield Step(end, "breaks" if one.error else "answers", endpoint, "sidecar", lines)
