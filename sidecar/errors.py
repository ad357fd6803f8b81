"""One small tree of what can go wrong with a call.

Each error says where it happened (its code) and what the caller is told (a status and a sentence).
"""

from __future__ import annotations


class CallError(Exception):
    """A call that we fail ourselves. Class attributes are the defaults of its kind."""

    code = "internal"
    """Value of `x-sidecar-error`, and of the `code` label of the metrics."""
    status = 500
    close = False
    """Whether the caller's connection can't be used again."""
    endpoint_failed = False
    """Whether it speaks against the endpoint: its breaker and the balance count it."""
    retry_after: float | None = None
    """Seconds after which the caller may succeed."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status
        if retry_after is not None:
            self.retry_after = retry_after


def forget_frames(error: BaseException | None) -> None:
    """Cut *error*, once it has been dealt with, loose from the frames that it came through.

    The frames refer to the call, and the call to its error. Such a cycle keeps them all, with the
    request's body, until the garbage collector looks; that is seldom.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class BadMessage(CallError):
    """The caller's bytes are not a message that we may forward (RFC 9112, section 11.2)."""

    code = "bad_request"
    status = 400
    close = True


class NotRouted(CallError):
    """No route takes the call."""

    code = "no_route"
    status = 404


class BadPath(CallError):
    """Servers read the path in different ways, so that routes would not hold what they promise."""

    code = "bad_path"
    status = 400


class ModelUnknown(CallError):
    """The call's route depends on its model, which the request's body does not tell for certain."""

    code = "model_unknown"
    status = 400

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        """*reason* says what is wrong with the body."""
        super().__init__(f"the route depends on the model, and {reason}", status=status)


class TraceRefused(CallError):
    """TRACE shows its sender what arrives: a key of ours, where one is added."""

    code = "trace_refused"
    status = 405


class Forbidden(CallError):
    """The forward proxy does not connect this client, or to this address."""

    code = "forbidden_target"
    status = 403
    close = True


class BadOverride(CallError):
    """A trusted caller's `x-sidecar-*` header says something that it can't."""

    code = "bad_override"
    status = 400


class CallerLeft(CallError):
    """The application closed its connection before its reply was complete."""

    code = "caller_left"
    status = 499


class CutOff(CallError):
    """The sidecar stopped before the call had ended."""

    code = "cut_off"
    status = 499
    close = True


class NoBodyMemory(CallError):
    """The bodies of all calls take as much memory as they may, and none was freed in time."""

    code = "no_body_memory"
    status = 503
    close = True


class Limited(CallError):
    """The route, or its caller, has made more calls than it may."""

    code = "rate_limited"
    status = 429


class AttemptError(CallError):
    """An attempt that failed before a byte of its reply was sent downstream."""

    code = "upstream_error"
    status = 502
    again = True
    """Whether another attempt may do better."""


class LocalFailure(AttemptError):
    """An attempt that failed by a fault of ours or our machine's, and never reached the endpoint.

    It says nothing about the endpoint, and another attempt costs the upstream nothing.
    """

    code = "out_of_resources"
    status = 503


class Overloaded(LocalFailure):
    """Too many calls wait for a connection to the endpoint, or this one has waited too long."""

    code = "pool_overflow"


class Shed(AttemptError):
    """The upstream has as many calls as it can take, and as many wait: this one must not."""

    code = "shed"
    status = 503


class CertificateRefused(LocalFailure):
    """The endpoint does not take our client certificate, or misses one."""

    code = "client_certificate_refused"
    status = 502


class ConnectFailed(AttemptError):
    """The name does not exist, nothing listened, or TLS could not be agreed."""

    code = "connect_failed"
    endpoint_failed = True


class TimedOut(AttemptError):
    """A timer ran out; the code names it."""

    status = 504
    endpoint_failed = True


class DeadlineExceeded(TimedOut):
    """The call's own total time is over: how long an endpoint may take, it does not say."""

    code = "total_timeout"
    endpoint_failed = False


class Reset(AttemptError):
    """The connection closed before a byte of the reply."""

    code = "upstream_reset"
    endpoint_failed = True


class Stale(Reset):
    """A reused connection had died: the server closed it before it saw the request."""

    code = "stale_connection"
    endpoint_failed = False


class BadReply(AttemptError):
    """The reply's bytes are not a message that we may forward."""

    code = "bad_reply"
    endpoint_failed = True


class Truncated(CallError):
    """The reply broke after its head had been sent downstream. Never retried."""

    code = "upstream_truncated"
    status = 502
    endpoint_failed = True


class CallerStalled(Truncated):
    """The application took nothing of its reply for too long."""

    code = "caller_stalled"
    endpoint_failed = False
