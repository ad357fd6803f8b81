"""The errors of expired timers: which side was too slow."""

from __future__ import annotations

from sidecar.errors import BadMessage, CallError, CallerStalled, DeadlineExceeded, TimedOut


def overdue(
    timer: str, seconds: float, endpoint: str, *, sending: bool, stalled: bool, again: bool
) -> CallError:
    """Return the error of *timer*.

    *sending*: the request's body was incomplete. *stalled*: the caller reads no more of the reply.
    *again*: another attempt may follow a first byte that did not arrive.
    """
    if timer == "total":
        return DeadlineExceeded("the call's `total` timeout has expired")
    if timer == "first_byte":
        message = f"{endpoint} sent no reply within {seconds:g} s"
        error = TimedOut(message, code="first_byte_timeout")
        error.again = again
        return error
    if timer == "upload":
        message = f"{endpoint} accepted no bytes of the request for {seconds:g} s"
        return TimedOut(message, code="first_byte_timeout")
    if sending:
        message = f"no bytes of the request's body arrived for {seconds:g} s"
        return BadMessage(message, status=408, code="request_timeout")
    if stalled:
        return CallerStalled(f"the caller read nothing for {seconds:g} s")
    return TimedOut(f"{endpoint} was silent for {seconds:g} s", code="idle_timeout")
