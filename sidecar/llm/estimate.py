"""An estimate of a stream's tokens, if the API reports none or the stream is cut before it does.

No tokeniser runs: a text has about four bytes a token in English (OpenAI, "What are tokens and how
to count them?"), and servers send a piece of a stream for each token, or for a few. An estimate is
always marked as one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.llm.usage import Usage

_BYTES: Final = 4
"""Bytes of a text for each token, about."""
_NO_TEXT: Final = (b";base64,", b'"base64"', b'"inlineData"', b'"inline_data"')
"""What stands in a request whose body is mostly an image or a file."""

_SEARCHED: Final = 2**20


def estimate(usage: Usage | None, chunks: int, request: bytes, *, whole: bool) -> Usage | None:
    """Return the usage of a stream of *chunks* pieces: *usage*, as far as it can be true.

    *whole*: the stream came to its end, so that what it reported is right. *request*: the body that
    asked for it; the input of one that is not text stays 0.
    """
    if not chunks or (usage is not None and (whole or usage.output >= chunks)):
        return usage
    if usage is not None:  # Anthropic reports the input first, and the output at the end
        return msgspec.structs.replace(usage, output=chunks, estimated=True)
    return Usage(input=input_of(request), output=chunks, estimated=True)


def input_of(request: bytes) -> int:
    """Estimate the input tokens of the body *request*; 0 if most of it is no text."""
    text = not any(request.find(each, 0, _SEARCHED) >= 0 for each in _NO_TEXT)
    return len(request) // _BYTES if text else 0
