"""One line a call."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section

Field = Literal[
    "trace_id",
    "route",
    "upstream",
    "endpoint",
    "dialect",
    "model",
    "method",
    "path",
    "status",
    "error",
    "attempts",
    "replays",
    "hedged",
    "fallback",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "first_byte_ms",
    "stream",
    "client",
    "user_agent",
    "operation",
    "model_answered",
    "response_id",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "estimated",
    "cost",
    "team",
    "finish",
    "verdict",
    "failure",
    "first_token_ms",
    "longest_gap_ms",
    "conversation",
    "provider_request_id",
    "cache",
    "queue_ms",
    "connect_ms",
    "parent_id",
    "sampled",
    "span_id",
    "tries",
    "layers",
    "notes",
]
"""Those of a call's record, but `time` and `request_id`, which are always there."""
Fields = Annotated[tuple[Field, ...], Meta(max_length=100)]


class AccessLog(Section, frozen=True):
    """One line a call, in JSON or for people."""

    path: Annotated[
        str | None, Meta(description="A file, or `-` for standard output. `null`: no access log.")
    ] = "-"
    format: Annotated[
        Literal["auto", "json", "text"],
        Meta(description="`json`, or `text` for people; `auto`: text on a terminal."),
    ] = "auto"
    fields: Annotated[
        Fields | None,
        Meta(
            description="The [fields](operations.md#access-log) of a line in JSON, besides `time` "
            "and `request_id`. `null`: all but `layers`, and `tries` only if there were several."
        ),
    ] = None
    omit: Annotated[
        Fields, Meta(description="Fields that a line in JSON never has: who called, for example.")
    ] = ()
    max_queued: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Lines that may wait for a slow disk; more are dropped and counted.",
        ),
    ] = 10_000
