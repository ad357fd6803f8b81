"""How long a caller waits, according to its SDK's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.policy.retry import seconds_of

if TYPE_CHECKING:
    from sidecar.proxy.call import Call

_SAID: Final = b"x-stainless-read-timeout"
"""From the OpenAI and Anthropic SDKs: seconds without a byte after which they give up."""


def patience_of(call: Call) -> float | None:
    """Return the seconds after arrival within which the reply must begin; None: unknown."""
    said = call.head.fields.known.get(_SAID)
    return None if said is None else seconds_of(said)
