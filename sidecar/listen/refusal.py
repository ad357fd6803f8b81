"""The reply to bytes that never became a call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from sidecar.llm.dialects import of_request
from sidecar.observe.trace import new_trace_id
from sidecar.proxy.local import error_body_of, error_lines, error_status_line

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
    body = error_body_of(dialect, error, request_id)
    lines = b"\r\nContent-Length: %d\r\nx-request-id: %b\r\nConnection: close\r\n\r\n" % (
        len(body),
        request_id,
    )
    to_head = head is not None and head.method == b"HEAD"
    return error_status_line(error) + error_lines(error) + lines + (b"" if to_head else body)
