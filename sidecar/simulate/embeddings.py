"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

from base64 import b64encode
from random import Random
from struct import pack, unpack
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from sidecar.simulate.answer import BadRequestError, Whole, decode, encode
from sidecar.simulate.text import count_tokens

DIMENSIONS: Final = 64
"""Of a vector when the caller asks for no other number."""

_MANY = Meta(min_length=1, max_length=2048)


class EmbeddingsRequest(Struct):
    """The input is a text or its tokens, or a list of such."""

    model: str
    input: str | Annotated[list[str | int | list[int]], _MANY]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Meta(ge=1, le=3072)] = DIMENSIONS


def answer_embeddings(raw: bytes, _default_tokens: int) -> Whole:
    """The reply to `POST /v1/embeddings`: one unit vector for each input, a function of it."""
    request = decode(raw, EmbeddingsRequest)
    inputs = _inputs(request)
    rows = [
        {"object": "embedding", "index": index, "embedding": _embedding(text, request)}
        for index, text in enumerate(inputs)
    ]
    tokens = sum(map(count_tokens, inputs))
    body = {
        "object": "list",
        "data": rows,
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Whole(encode(body), tokens, 0)


def _inputs(request: EmbeddingsRequest) -> list[str]:
    given = request.input
    if isinstance(given, str) or all(isinstance(item, int) for item in given):
        given = [str(given)]
    if any(isinstance(item, int) for item in given):
        raise BadRequestError("Invalid request body: `input` mixes tokens with texts")
    texts = [str(item) for item in given]
    if "" in texts:
        raise BadRequestError("Invalid request body: `input` has an empty string")
    return texts


def _embedding(text: str, request: EmbeddingsRequest) -> list[float] | str:
    rng = Random(text)
    raw = [rng.gauss(0.0, 1.0) for _ in range(request.dimensions)]
    norm = sum(x * x for x in raw) ** 0.5
    # Both encodings carry the same 32-bit values.
    packed = pack(f"<{len(raw)}f", *(x / norm for x in raw))
    if request.encoding_format == "base64":
        return b64encode(packed).decode()
    return list(unpack(f"<{len(raw)}f", packed))
