"""The reply to bytes that never became a call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import error_body
from sidecar.observe.trace import new_trace_id
from sidecar.proxy.reply import error_head

if TYPE_CHECKING:
    from sidecar.errors import CallError

_getrandbits: Final = random.Random().getrandbits


def refusal(error: CallError, to_head: bool = False) -> bytes:
    """A whole reply, after which the connection closes. No dialect is known: OpenAI's serves.

    A reply *to_head* has no body (RFC 9110, section 9.3.2).
    """
    request_id = new_trace_id(_getrandbits)
    body = error_body("openai", error.status, error.code, error.message, request_id.decode())
    lines = b"\r\nx-request-id: %b\r\nConnection: close\r\n\r\n" % request_id
    return error_head(error, len(body)) + lines + (b"" if to_head else body)
