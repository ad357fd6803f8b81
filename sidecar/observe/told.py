"""Numbers of a call's record, as people read them."""

from __future__ import annotations

from sidecar.observe.record import CallRecord, Try


def milliseconds(value: float) -> str:
    """*value* milliseconds with three digits at least where it is short: `0.4 ms`, `1,204 ms`."""
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def tokens(call: CallRecord) -> str:
    """What the model read and made, `~` before an estimate; empty where nothing is known."""
    if not call.input_tokens and not call.output_tokens:
        return ""
    return f"{'~' * call.estimated}{call.input_tokens:,}→{call.output_tokens:,}"


def cost(call: CallRecord) -> str:
    """With four digits at least, without the currency: only its user knows that."""
    return f"cost {call.cost:.4f}" if call.cost >= 0.01 else f"cost {call.cost:.3g}"


def failing(call: CallRecord) -> str:
    """Why it did not end well, in a word; empty if it did."""
    if call.error:
        return call.error
    if call.verdict == "error":
        return call.failure or "error"
    return "" if call.verdict == "complete" else call.verdict


def outcome(call: CallRecord) -> str:
    """The status and, if it did not end well, why."""
    status = str(call.status) if call.status else "no reply"
    return f"{status} {failing(call)}".rstrip()


def try_outcome(one: Try) -> str:
    """The same of an attempt."""
    if one.error == "outrun":
        return "given up, another was faster"
    status = str(one.status) if one.status else ""
    verdict = one.failure or one.verdict
    return " ".join(part for part in (status, one.error or verdict) if part) or "no reply"


def reason(one: Try) -> str:
    """Why an attempt was made: `first`, `retry after 503`."""
    return f"{one.why} after {one.after}" if one.after else one.why


def ended(one: Try, call: CallRecord) -> float:
    """When an attempt ended, in milliseconds from the call's arrival."""
    return one.ended_ms or call.duration_ms
