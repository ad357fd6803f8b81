"""One call, with a bar for each of its attempts and everything that was decided for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from sidecar.calls.style import BOLD, FAINT, GREEN, RED, YELLOW, Style, pad, width
from sidecar.observe.calls import is_bad
from sidecar.observe.record import CallRecord, Try
from sidecar.observe.told import cost, ended, milliseconds, outcome, reason, tokens, try_outcome

_LABEL: Final = 10
_LEAST: Final = 20
"""Columns of a bar, in the narrowest terminal."""


def waterfall(call: CallRecord, columns: int, style: Style) -> str:
    """Show *call* in so many columns."""
    colour = RED if call.status >= 500 else YELLOW if is_bad(call) else GREEN
    title = f"{call.method} {call.path}".strip() or "a call"
    end = f"{outcome(call)}, {milliseconds(call.duration_ms)}"
    title = style.fit(title, max(_LEAST, columns - width(end) - 2))
    lines = [f"{style.paint(title, BOLD)}  {style.paint(style.told(end), colour)}"]
    for label, text in _facts(call):
        shown = style.fit(text, max(_LEAST, columns - _LABEL - 2))
        lines.append(f"  {style.paint(pad(label, _LABEL), FAINT)}{shown}")
    if call.tries:
        lines += ["", *_bars(call, columns, style)]
    if call.notes:
        lines.append("")
    for note in call.notes:
        at = style.paint(pad(milliseconds(note.at_ms), _LABEL, right=True), FAINT)
        text = style.fit(f"{note.what.replace('_', ' ')}: {note.text}", max(_LEAST, columns - 14))
        lines.append(f"  {at}  {text}")
    return "\n".join(lines)


def _facts(call: CallRecord) -> Iterator[tuple[str, str]]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(call.time))
    yield "when", f"{when}.{int(call.time * 1000) % 1000:03d}"
    yield "caller", _listed(call.client, call.user_agent, call.team and f"team {call.team}")
    yield "route", _listed(call.route or "none", " > ".join(call.layers))
    answered = call.model_answered and f"answered by {call.model_answered}"
    told = _listed(
        call.model, answered, call.dialect and f"{call.dialect} {call.operation}".strip()
    )
    if told:
        yield "model", told
    if call.tries:
        cached = call.cached_tokens and f"{call.cached_tokens:,} cached"
        thought = call.reasoning_tokens and f"{call.reasoning_tokens:,} reasoning"
        price = cost(call) if call.cost else ""
        if told := _listed(tokens(call), cached or "", thought or "", price):
            yield "tokens", told
        first = call.first_token_ms and f"first token after {milliseconds(call.first_token_ms)}"
        gap = call.longest_gap_ms and f"longest gap {milliseconds(call.longest_gap_ms)}"
        finish = call.finish and f"finish {call.finish}"
        if told := _listed(call.verdict, finish, first or "", gap or ""):
            yield "reply", told
    if call.cache:
        yield "cache", call.cache
    queue = call.queue_ms and f"{milliseconds(call.queue_ms)} in admission"
    connect = call.connect_ms >= 1 and f"{milliseconds(call.connect_ms)} for a connection"
    if told := _listed(queue or "", connect or ""):
        yield "waits", told
    if call.conversation:
        yield "session", call.conversation
    yield "request", call.request_id
    if call.trace_id not in ("", call.request_id):
        yield "trace", call.trace_id
    provider = _listed(call.provider_request_id, call.response_id)
    if provider:
        yield "provider", provider


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _bars(call: CallRecord, columns: int, style: Style) -> Iterator[str]:
    """A line for each attempt, under a scale."""
    names = [style.fit(f"{n} {reason(one)}", 24) for n, one in enumerate(call.tries, 1)]
    named = max(map(width, names))
    results = [style.told(f"{one.endpoint}  {try_outcome(one)}") for one in call.tries]
    room = columns - named - 6 - max(map(width, results))
    wide = max(_LEAST, min(60, room))
    end = milliseconds(call.duration_ms)
    scale = "0 ms" + pad(end, max(wide - 4, width(end) + 1), right=True)
    yield f"  {' ' * named}  {style.paint(scale, FAINT)}"
    for name, one, result in zip(names, call.tries, results, strict=True):
        bar = style.paint(_bar(one, call, wide, style), _colour(one))
        shown = style.fit(result, max(_LEAST, columns - named - wide - 6))
        yield f"  {pad(name, named)}  {bar}  {style.paint(shown, _colour(one))}"


def _colour(one: Try) -> str:
    if one.error == "outrun":
        return FAINT
    bad = one.error or one.status >= 400 or one.verdict not in ("", "complete")
    return RED if bad else GREEN


def _bar(one: Try, call: CallRecord, wide: int, style: Style) -> str:
    """Blank, wait for a connection, wait for an answer, content; to the scale of the call."""

    def column(at: float) -> int:
        return round(max(0.0, min(at / whole, 1.0)) * wide)

    whole = max(call.duration_ms, 0.001)
    end = ended(one, call)
    sent = one.sent_ms or end
    answered = one.content_ms or one.head_ms or end
    signs = style.signs
    marks = (
        (one.began_ms, " "), (sent, signs.wait), (answered, signs.answer), (end, signs.content),
    )  # fmt: skip
    bar = ""
    for at, sign in marks:
        bar += sign * (column(at) - len(bar))
    if not bar.strip():  # shorter than a column
        bar = bar[: wide - 1] + signs.answer
    return pad(bar, wide)
