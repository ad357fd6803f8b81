"""A call as a Mermaid sequence diagram: application, sidecar, endpoints.

Texts from outside (a path, a model, an error's message) must neither break nor extend the diagram.
Mermaid ends a statement at `;` and at a line's end, begins an entity with `#`, a comment or a
directive with `%%`, and formulas with `$$`; entities (`#59;`) stand for everything but plain
letters, digits and a few signs. https://mermaid.js.org/syntax/sequenceDiagram.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from sidecar.observe.escape import escape_text
from sidecar.observe.record import CallRecord, Try
from sidecar.observe.told import cost, ended, milliseconds, outcome, reason, tokens, try_outcome

_LONGEST: Final = 100
"""Characters of a text from outside; a diagram is no place for more."""
_UNSAFE: Final = re.compile(r"[^\w .,:/()?=+'→…-]")
# Mermaid takes `style...:...#...;` and `classDef` for statements before it parses anything.
_STATEMENT: Final = re.compile("style|classDef", re.IGNORECASE)


class _Event(NamedTuple):
    at: float
    line: str


def diagram(call: CallRecord) -> str:
    """Draw *call*, with times in milliseconds from its arrival."""
    names = list(dict.fromkeys(one.endpoint for one in call.tries))
    ids = {name: f"e{number}" for number, name in enumerate(names, 1)}
    events = sorted(_events(call, ids), key=lambda event: event.at)
    lines = [
        "sequenceDiagram",
        "participant app as application",
        "participant sidecar",
        *(f"participant {ids[name]} as {text(name)}" for name in names),
        f"app->>sidecar: {_asked(call)}",
        *(event.line for event in events),
        _answer(call),
    ]
    return "\n    ".join(lines) + "\n"


def text(outside: str) -> str:
    """*outside* as a text of Mermaid's, on one line and not too long."""
    if len(outside) > _LONGEST:
        outside = outside[: _LONGEST - 1] + "…"
    safe = _UNSAFE.sub(_entity, escape_text(outside))
    return _STATEMENT.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", safe)


def _entity(found: re.Match[str]) -> str:
    return f"#{ord(found[0])};"


def _asked(call: CallRecord) -> str:
    parts = [f"{call.method} {call.path}", call.model, "stream" if call.stream else ""]
    return "<br/>".join(text(part) for part in parts if part.strip()) or "a call"


def _answer(call: CallRecord) -> str:
    read = tokens(call)
    told = [outcome(call), f"{read} tokens" if read else "", cost(call) if call.cost else ""]
    told.append(f"finish {call.finish}" if call.finish else "")
    parts = [text(part) for part in told if part]
    end = f"at {milliseconds(call.duration_ms)}"
    if call.error == "caller_left":
        return f"app-xsidecar: the caller left<br/>{end}"
    arrow = "-->>" if call.status else "--x"
    return f"sidecar{arrow}app: {'<br/>'.join([*parts, end])}"


def _events(call: CallRecord, ids: dict[str, str]) -> Iterator[_Event]:
    for note in call.notes:
        if note.what != "error":
            shown = text(f"{note.what.replace('_', ' ')}: {note.text}")
            yield _Event(note.at_ms, f"Note over sidecar: {shown}")
    for number, one in enumerate(call.tries, 1):
        yield from _attempt(number, one, call, ids[one.endpoint])
    if call.stream and call.first_byte_ms and call.status:
        began = f"begins at {milliseconds(call.first_byte_ms)}"
        yield _Event(call.first_byte_ms, f"sidecar-->>app: {call.status}<br/>{began}")
    for note in call.notes:
        if note.what == "error":
            yield _Event(call.duration_ms, f"Note over app,sidecar: {text(note.text)}")


def _attempt(number: int, one: Try, call: CallRecord, endpoint: str) -> Iterator[_Event]:
    name = text(f"attempt {number}, {reason(one)}")
    end = ended(one, call)
    if not one.sent_ms:
        line = f"sidecar-x{endpoint}: {name}<br/>not sent, {text(try_outcome(one))}"
        yield _Event(one.began_ms, f"{line}<br/>at {milliseconds(end)}")
        return
    waited = one.sent_ms - one.began_ms
    wait = f", {milliseconds(waited)} for a connection" if waited >= 1 else ""
    again = ", sent again" if one.replayed else ""
    at = f"at {milliseconds(one.sent_ms)}{wait}{again}"
    yield _Event(one.sent_ms, f"sidecar->>{endpoint}: {name}<br/>{at}")
    if one.content_ms:
        at = milliseconds(one.content_ms)
        yield _Event(one.content_ms, f"{endpoint}-->>sidecar: first content<br/>at {at}")
    if one.error == "outrun":
        arrow = f"sidecar-x{endpoint}"
    else:
        arrow = f"{endpoint}{'--x' if one.error else '-->>'}sidecar"
    yield _Event(end, f"{arrow}: {text(try_outcome(one))}<br/>at {milliseconds(end)}")
