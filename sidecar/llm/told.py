"""Read an error in JSON, of any API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.llm.waits import duration

_LONGEST: Final = 1024
"""Characters of a text that are kept."""
_MOST: Final = 16
"""Details that are read."""
_AGAIN: Final = re.compile(
    r"(?:try again|retry) (?:in|after) ([0-9]{1,9}(?:\.[0-9]{0,12})?)"
    r"(ms|s(?![a-z])| seconds?| milliseconds?)"
)
_DAILY: Final = re.compile(r"PerDay|per day|\blimit: 0\b", re.IGNORECASE)


class Told(msgspec.Struct):
    """The content of an error object."""

    words: list[str] = []
    """Codes, types and reasons, the most specific first."""
    number: int | None = None
    """The status that the error itself names."""
    type: str = ""
    code: str = ""
    message: str = ""
    delay: float | None = None
    daily: bool = False


def told(found: object) -> Told | None:
    """Read an error object or its container; None if *found* is neither.

    OpenAI, Anthropic and Google put it in `error`, Google also in a list. The errors of Mistral,
    Cohere and Bedrock, and the `error` events of Responses, have no container.
    """
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return None
    error = found.get("error") or found
    if isinstance(error, str):
        return Told(message=error[:_LONGEST])
    if not isinstance(error, dict):
        return None
    said = Told(words=[word for word in _words(error) if word], message=_message(error))
    said.type = _text(error, "type") or _text(error, "status")
    said.code = next(iter(said.words), "")
    said.number = _number(error.get("code")) or _number(found.get("status"))
    _read_details(error, said)
    if said.delay is None and (again := _AGAIN.search(said.message.lower())):
        said.delay = float(again[1]) / (1000 if again[2].strip().startswith("m") else 1)
    said.daily = said.daily or _DAILY.search(said.message) is not None
    return said


def _words(error: Mapping[str, Any]) -> Iterator[str]:
    """Anthropic's details, Azure's inner error and Google's reasons are more specific."""
    for holder, name in (("details", "error_code"), ("innererror", "code")):
        inner = error.get(holder)
        if isinstance(inner, dict):
            yield _text(inner, name)
    details = error.get("details")
    if isinstance(details, list):
        for detail in details[:16]:
            if isinstance(detail, dict):
                yield _text(detail, "reason")
    yield from (_text(error, name) for name in ("code", "type", "status"))


def _read_details(error: Mapping[str, Any], said: Told) -> None:
    """Google's `RetryInfo` and `QuotaFailure`."""
    details = error.get("details")
    for detail in details[:16] if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        if delay := _text(detail, "retryDelay"):
            said.delay = duration(delay)
        violations = detail.get("violations")
        for violation in violations[:16] if isinstance(violations, list) else ():
            if isinstance(violation, dict) and "PerDay" in _text(violation, "quotaId"):
                said.daily = True


def _message(error: Mapping[str, Any]) -> str:
    return (_text(error, "message") or _text(error, "Message") or _text(error, "detail"))[:_LONGEST]


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """Return the status in `429` or `"429"`."""
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600
    return int(value) if known and isinstance(value, int) else None
