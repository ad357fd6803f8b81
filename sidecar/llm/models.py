"""Which models a server lists."""

from __future__ import annotations

import msgspec


class _Model(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Listing(msgspec.Struct):
    data: list[_Model] | None = None
    models: list[_Model] | None = None


_decode = msgspec.json.Decoder(_Listing).decode


def lists(body: bytes, model: str) -> bool:
    """Whether *body*, the answer to `/v1/models` or the like, has *model* in it.

    OpenAI, Anthropic and the inference servers list `data[].id`; Gemini lists `models[].name`, each
    with `models/` before it; Ollama the same without. Only what is on this page counts.
    """
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    ids = {listed.id for listed in found.data or ()}
    names = {listed.name.removeprefix("models/") for listed in found.models or ()}
    return model in ids or model.removeprefix("models/") in names
