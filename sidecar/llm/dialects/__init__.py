"""The known APIs: their requests, replies, streams and errors.

Each has a file; what each answers is the protocol `Api`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.llm.dialects.anthropic import ANTHROPIC
from sidecar.llm.dialects.base import (
    JSON_VALUES,
    READABLE,
    Api,
    Dialect,
    Operation,
    Parameters,
    Reply,
    Target,
)
from sidecar.llm.dialects.cohere import COHERE
from sidecar.llm.dialects.gemini import GEMINI
from sidecar.llm.dialects.mistral import MISTRAL
from sidecar.llm.dialects.openai import OPENAI

__all__ = [
    "APIS",
    "JSON_VALUES",
    "READABLE",
    "Api",
    "Dialect",
    "Operation",
    "Parameters",
    "Reply",
    "Target",
    "error_body",
    "error_event",
    "of_request",
]

APIS: Final[Mapping[Dialect, Api]] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "mistral": MISTRAL,
    "cohere": COHERE,
}


def of_request(target: bytes, fields: Mapping[bytes, bytes]) -> Dialect:
    """Guess the API of a request, for errors before a route is known."""
    if b"/v1/messages" in target or b"/anthropic" in target or b"anthropic-version" in fields:
        return "anthropic"
    if b"/v1beta/" in target or b"/gemini" in target or b"x-goog-api-key" in fields:
        return "gemini"
    return "openai"


def error_body(
    dialect: Dialect,
    status: int,
    code: str,
    message: str,
    request_id: str,
    param: str | None = None,
) -> bytes:
    """Return the JSON body of an error reply. *param*: the field of the request that is wrong."""
    told = APIS[dialect].error(status, code, message, request_id)
    for holder in (told, told.get("error")):
        if param is not None and isinstance(holder, dict) and "param" in holder:
            holder["param"] = param
    return msgspec.json.encode(told)


def error_event(dialect: Dialect, status: int, code: str, message: str, request_id: str) -> bytes:
    """Return a server-sent event that makes the SDKs raise within a stream.

    Empty for APIs that have none: their SDKs would take it for a broken event, or pass it over.
    What makes them raise is the end of the connection.
    """
    return APIS[dialect].error_event(error_body(dialect, status, code, message, request_id))
