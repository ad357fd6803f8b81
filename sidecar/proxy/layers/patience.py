"""How long a caller waits, by what its SDK says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.policy.retry import seconds_of

if TYPE_CHECKING:
    from sidecar.proxy.call import Call

_SAID: Final = b"x-stainless-read-timeout"
"""Of the OpenAI and Anthropic SDKs: seconds without a byte after which they give a call up."""


def patience_of(call: Call) -> float | None:
    """Seconds from its arrival on in which the reply must begin; None: it does not say."""
    said = call.head.fields.known.get(_SAID)
    return None if said is None else seconds_of(said)
