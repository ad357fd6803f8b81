"""Tokens of streams that reported none."""

from __future__ import annotations

import pytest

from sidecar.llm.estimate import estimate
from sidecar.llm.usage import Usage

TEXT = b'{"messages": "%b"}' % (b"x" * (400 - len(b'{"messages": ""}')))
IMAGE = b'{"image_url": {"url": "data:image/png;base64,%b"}}' % (b"A" * 4000)
TOLD = Usage(input=7, output=30)


@pytest.mark.parametrize(
    ("usage", "chunks", "request_body", "whole", "expected"),
    [
        (TOLD, 40, TEXT, True, TOLD),  # servers put several tokens into a piece, or several pieces
        (TOLD, 20, TEXT, False, TOLD),
        (Usage(input=7, output=1), 20, TEXT, False, Usage(input=7, output=20, estimated=True)),
        (None, 20, TEXT, True, Usage(input=100, output=20, estimated=True)),
        (None, 20, TEXT, False, Usage(input=100, output=20, estimated=True)),
        (None, 20, IMAGE, True, Usage(input=0, output=20, estimated=True)),
        (None, 0, TEXT, False, None),
    ],
)
def test_what_is_estimated(
    usage: Usage | None, chunks: int, request_body: bytes, whole: bool, expected: Usage | None
) -> None:
    assert estimate(usage, chunks, request_body, whole=whole) == expected
