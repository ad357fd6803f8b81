"""Bedrock's paths, its counts in header fields, and Converse.

Sources: botocore's model of `bedrock-runtime` (paths, `TokenUsage`, errors); what the headers of
InvokeModel count is told by AWS "Monitoring model invocation". Streams of
`application/vnd.amazon.eventstream` are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from sidecar.llm.dialects.base import Operation, Reply, Target, text
from sidecar.llm.usage import Usage, of_converse

_VERBS: Final[Mapping[str, tuple[Operation, bool]]] = {
    "invoke": ("messages", False),
    "invoke-with-response-stream": ("messages", True),
    "converse": ("converse", False),
    "converse-stream": ("converse", True),
    "count-tokens": ("count_tokens", False),
}
_COUNTS: Final = {
    "inputTokens": b"x-amzn-bedrock-input-token-count",
    "outputTokens": b"x-amzn-bedrock-output-token-count",
    "cacheReadInputTokens": b"x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokens": b"x-amzn-bedrock-cache-write-input-token-count",
}
_LONGEST: Final = 15
"""Digits of a count."""


def target(path: str) -> Target | None:
    """Read the path `/model/{model}/{verb}` of a POST; None for any other path."""
    before, _, verb = path.rpartition("/")
    holder, _, model = before.rpartition("/")
    if not holder.endswith("/model") or verb not in _VERBS:
        return None
    operation, stream = _VERBS[verb]
    return Target(operation, text(unquote(model)), stream)


def reply(reason: object, usage: object) -> Reply:
    """Return a reply of Converse, which does not name the model."""
    reasons = (reason,) if isinstance(reason, str) else ()
    return Reply(usage=of_converse(usage), finish_reasons=reasons)


def usage_in_fields(fields: Mapping[bytes, bytes]) -> Usage | None:
    """Read InvokeModel's counts in a reply's *fields*, by lower-case names; None if there are none.

    Cached tokens are no part of the input's count, as in Converse.
    """
    counts = {
        name: int(value)
        for name, field in _COUNTS.items()
        if (value := fields.get(field)) is not None and value.isdigit() and len(value) <= _LONGEST
    }
    return of_converse(counts)
