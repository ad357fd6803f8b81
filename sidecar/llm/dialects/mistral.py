"""Mistral's API, which is OpenAI's with other errors. Source: Mistral's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.llm.dialects.openai import OpenAI, error_fields


class Mistral(OpenAI):
    """Mistral's dialect."""

    def error(self, status: int, code: str, message: str, _: str) -> Mapping[str, object]:
        """It has the members of OpenAI's error without a container."""
        return {"object": "error", **error_fields(status, code, message)}

    def error_event(self, data: bytes) -> bytes:
        """There is none: the SDKs would ignore it. They raise when the connection ends."""
        return b""


MISTRAL: Final = Mistral()
