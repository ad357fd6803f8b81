"""The reply to bytes that never became a call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import error_body, of_request
from sidecar.observe.trace import new_trace_id
from sidecar.proxy.reply import error_head

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import RequestHead

_getrandbits: Final = random.Random().getrandbits


def refusal(error: CallError, head: RequestHead | None = None) -> bytes:
    """A whole reply, after which the connection closes.

    *head* is what is known of the request: its dialect, as far as it tells one, and whether it is a
    HEAD, to which a reply has no body (RFC 9110, section 9.3.2).
    """
    request_id = new_trace_id(_getrandbits)
    dialect = of_request(head.target, head.fields) if head is not None else "openai"
    body = error_body(dialect, error.status, error.code, error.message, request_id.decode())
    to_head = head is not None and head.method == b"HEAD"
    lines = b"\r\nx-request-id: %b\r\nConnection: close\r\n\r\n" % request_id
    return error_head(error, len(body)) + lines + (b"" if to_head else body)
