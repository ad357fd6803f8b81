"""Write an answer as a reply of any API, whole or as a stream: what no model has said.

Each API has a file; what each does is the protocol `Writer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.llm.answers.anthropic import MessageWriter
from sidecar.llm.answers.base import Answer, Writer
from sidecar.llm.answers.cohere import CohereWriter
from sidecar.llm.answers.gemini import ContentWriter
from sidecar.llm.answers.openai import ChatWriter, CompletionWriter
from sidecar.llm.answers.responses import ResponseWriter
from sidecar.llm.dialects.base import Dialect, Operation, Target

__all__ = ["Answer", "Writer", "writer_for"]

_EVENTS: Final = ContentWriter(events=True)
_WRITERS: Final[Mapping[tuple[Dialect, Operation], Writer]] = {
    ("openai", "chat"): ChatWriter(),
    ("openai", "completions"): CompletionWriter(),
    ("openai", "responses"): ResponseWriter(),
    ("mistral", "chat"): ChatWriter(),
    ("anthropic", "messages"): MessageWriter(),
    ("gemini", "generateContent"): _EVENTS,
    ("gemini", "streamGenerateContent"): ContentWriter(events=False),
    ("cohere", "chat"): CohereWriter(),
}


def writer_for(dialect: Dialect, target: Target, path: str) -> Writer | None:
    """Return what writes replies to *target*, which was read from *path* (with its query).

    None for operations that have no text as their answer, and for forms of it that are not
    written: Cohere's version 1, and the binary streams of Bedrock.
    """
    bare, _, query = path.partition("?")
    if target.operation == "streamGenerateContent" and "alt=sse" in query.split("&"):
        return _EVENTS
    if dialect == "cohere" and "/v2/" not in bare:
        return None
    if bare.endswith("/invoke-with-response-stream"):
        return None
    return _WRITERS.get((dialect, target.operation))
