"""The errors of calls, in one small tree.

Each has a code for where it happened, and the status and the sentence for the caller.
"""

from __future__ import annotations


class CallError(Exception):
    """The sidecar fails the call. Class attributes are the defaults of each kind."""

    code = "internal"
    """Value of `x-sidecar-error`, and of the `code` label of the metrics."""
    status = 500
    close = False
    """Whether the caller's connection can't be used again."""
    endpoint_failed = False
    """Whether it counts against the endpoint, in its breaker and the load balancer."""
    param: str | None = None
    """The field of the request that is wrong, for APIs whose errors name one."""
    retry_after: float | None = None
    """Seconds after which the caller may succeed."""
    allow = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    """The methods that a 405 names."""

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


def told_again(error: CallError) -> CallError:
    """Return another error that says the same: each call that fails has its own."""
    other = error.__class__.__new__(error.__class__, *error.args)
    other.__dict__.update(error.__dict__)
    return other


def forget_frames(error: BaseException | None) -> None:
    """Drop the frames of *error* once it has been handled.

    The frames refer to the call, and the call to its error. Such a cycle keeps them all, with the
    request's body, until the garbage collector runs, which is rare.
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
    """No route matches the call."""

    code = "no_route"
    status = 404


class Unauthorized(CallError):
    """The listener serves known callers only, and nothing tells that the call is from one."""

    code = "unauthorized"
    status = 401


class NotAllowed(CallError):
    """The listener knows who calls, and does not serve this caller."""

    code = "caller_not_allowed"
    status = 403


class BadPath(CallError):
    """Servers may read the path differently, so that routes would not be reliable."""

    code = "bad_path"
    status = 400


class ModelUnknown(CallError):
    """The call's route depends on the model, and the body does not name it unambiguously."""

    code = "model_unknown"
    status = 400

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        """*reason* says what is wrong with the body."""
        super().__init__(f"the route depends on the model, and {reason}", status=status)


class TraceRefused(CallError):
    """The reply to TRACE would show the caller a key that the sidecar adds."""

    code = "trace_refused"
    status = 405


class Forbidden(CallError):
    """The forward proxy does not connect this client, or to this address."""

    code = "forbidden_target"
    status = 403
    close = True


class BadOverride(CallError):
    """A trusted caller's `x-sidecar-*` header is invalid."""

    code = "bad_override"
    status = 400


class EmptyInput(CallError):
    """An item of a call for embeddings is empty, and the policy refuses these."""

    code = "empty_input"
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


class RuleRefused(CallError):
    """A rule of the route refuses the message. The rule may give another status."""

    code = "rule_refused"
    status = 403


class BadTask(CallError):
    """The call for a task, or the header that names one, is not as it must be."""

    code = "bad_task"
    status = 400


class BadOutput(CallError):
    """The answer of a model is not in the format that the task asks for."""

    code = "bad_output"
    status = 502


class NoBodyMemory(CallError):
    """Buffered bodies use all the memory that they may, and none was freed in time."""

    code = "no_body_memory"
    status = 503
    close = True


class NotCached(CallError):
    """The caller wants a reply only if it is in the cache (RFC 9111, section 5.2.1.7)."""

    code = "not_cached"
    status = 504


class NotRedacted(CallError):
    """The body can't be looked at for secrets, so it does not go upstream."""

    code = "not_redacted"
    status = 400


class SensitiveContent(CallError):
    """The prompt has secrets or personal data, and the policy refuses such calls."""

    code = "sensitive_content"
    status = 400


class GuardRefused(CallError):
    """The guard of `redact` refuses the call."""

    code = "guard_refused"
    status = 400


class GuardAway(CallError):
    """The guard of `redact` gave no answer in time, and the policy needs one."""

    code = "guard_away"
    status = 503


class Limited(CallError):
    """The route or its client exceeds a limit on calls."""

    code = "rate_limited"
    status = 429


class AttemptError(CallError):
    """An attempt that failed before a byte of its reply was sent downstream."""

    code = "upstream_error"
    status = 502
    again = True
    """Whether another attempt may succeed."""


class LocalFailure(AttemptError):
    """An attempt that failed in the sidecar or on its machine, and never reached the endpoint.

    It says nothing about the endpoint, and another attempt costs the upstream nothing.
    """

    code = "out_of_resources"
    status = 503


class Overloaded(LocalFailure):
    """Too many calls wait for a connection to the endpoint, or this one has waited too long."""

    code = "pool_overflow"


class Shed(AttemptError):
    """`admission` refuses the call: its queue is full, or the wait would be too long."""

    code = "shed"
    status = 503


class TokensSpent(AttemptError):
    """A limit on tokens is used up at this upstream. Another target may have its own."""

    code = "tokens_limited"
    status = 429


class QuotaSpent(AttemptError):
    """Too many calls wait for their turn at the provider's quota, or this one waited too long."""

    code = "quota_spent"
    status = 429


class KeyAwaited(AttemptError):
    """The upstream's key is in a file that has not come yet. Another target may have its own."""

    code = "key_awaited"
    status = 503


class BudgetSpent(AttemptError):
    """A budget is spent for calls to this target. Another model may have its own."""

    code = "budget_spent"
    status = 429


class CertificateRefused(LocalFailure):
    """The endpoint refuses our client certificate, or requires one."""

    code = "client_certificate_refused"
    status = 502


class ConnectFailed(AttemptError):
    """The name does not exist, nothing listens, or the TLS handshake failed."""

    code = "connect_failed"
    endpoint_failed = True


class TimedOut(AttemptError):
    """A timer expired; the code names it."""

    status = 504
    endpoint_failed = True


class DeadlineExceeded(TimedOut):
    """The call's `total` expired. That does not count against the endpoint."""

    code = "total_timeout"
    endpoint_failed = False


class Reset(AttemptError):
    """The connection closed before a byte of the reply."""

    code = "upstream_reset"
    endpoint_failed = True


class Stale(Reset):
    """A reused connection was stale: the server closed it before it saw the request."""

    code = "stale_connection"
    endpoint_failed = False


class BadReply(AttemptError):
    """The reply's bytes are not a message that we may forward."""

    code = "bad_reply"
    endpoint_failed = True


class ContextTooLong(AttemptError):
    """The prompt is longer than `shape.context` allows. Another target may allow more."""

    code = "context_length_exceeded"
    """OpenAI's own code, which SDKs and agents look for."""
    status = 400


class NoAnswer(AttemptError):
    """The head promised an answer, but an error or nothing followed it."""

    code = "stream_error"
    kind = ""
    """What kind of failure the error tells (`llm.failures.Kind`); "" if there was none."""


class ErrorReply(NoAnswer):
    """The reply was an error with status 200."""

    code = "error_reply"


class Truncated(CallError):
    """The reply broke after its head had been sent downstream. Never retried."""

    code = "upstream_truncated"
    status = 502
    endpoint_failed = True


class CallerStalled(Truncated):
    """The application read nothing of its reply for too long."""

    code = "caller_stalled"
    endpoint_failed = False
