"""Mistral's API: OpenAI's, with errors of its own. Source: Mistral's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.llm.dialects.openai import OpenAI, error_fields


class Mistral(OpenAI):
    """Mistral's."""

    def error(self, status: int, code: str, message: str, _: str) -> Mapping[str, object]:
        """With the fields of OpenAI's on the top."""
        return {"object": "error", **error_fields(status, code, message)}

    def error_event(self, data: bytes) -> bytes:
        """None: its SDKs would pass it over. What makes them raise is the connection's end."""
        return b""


MISTRAL: Final = Mistral()
