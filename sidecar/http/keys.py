"""Find the keys in a request: credentials of its sender, and names of its account.

Keys are recognised by name, because there is no complete list. LLM APIs use `authorization`,
`x-api-key`, `api-key` and `x-goog-api-key`; clouds, gateways and login pages in front of them use
other names. A false match costs a header towards another upstream; a miss leaks a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

_KEY: Final = re.compile(
    rb"authorization|cookie|secret|passw|credential|signature|jwt|oidc"
    rb"|(?:api|access|auth|account|functions|master|subscription|virtual)-?key"
    rb"|(?:access|auth|bearer|csrf|id|identity|refresh|security|session|xsrf)-?token"
    rb"|(?:\A|-)(?:auth|sig|token)\Z|client-(?:cert|principal)|\Adpop\Z"
)
"""Anywhere in a name, in lower case, with `-` for `_`. Not in `max-tokens`, `idempotency-key`."""
_ACCOUNTS: Final = frozenset(
    {
        b"anthropic-organization-id", b"anthropic-workspace-id", b"cf-access-client-id",
        b"openai-organization", b"openai-project", b"x-goog-user-project",
    }
)  # fmt: skip
_QUERY: Final = frozenset({b"key"})
"""Gemini's name for a key in the query."""
_REMEMBERED: Final = 64
"""Bytes of a name that is remembered."""
PROTOCOL: Final = b"sec-websocket-protocol"
"""The only header that a browser can set on a WebSocket, so OpenAI accepts keys in it."""


def is_key(name: bytes) -> bool:
    """Whether a header with the lower-case *name* has a key."""
    return _is_known_key(name) if len(name) <= _REMEMBERED else _is_key(name)


def _is_key(name: bytes) -> bool:
    return name in _ACCOUNTS or _KEY.search(name.replace(b"_", b"-")) is not None


_is_known_key: Final = lru_cache(1024)(_is_key)
"""Callers send the same few names: a search takes thirty times as long."""


def keys_among(names: Iterable[bytes]) -> set[bytes]:
    """Return those of the lower-case *names* that have a key."""
    return {name for name in names if is_key(name)}


def without_keys(target: bytes) -> bytes:
    """Return *target* without the query parameters that have a key."""
    path, mark, query = target.partition(b"?")
    if not mark:
        return target
    kept = [pair for pair in query.split(b"&") if not _is_key_parameter(pair)]
    return path + mark + b"&".join(kept) if kept else path


def protocols_without_keys(value: bytes) -> bytes:
    """Return the protocols of a WebSocket handshake without those that have a key."""
    offered = [protocol.strip() for protocol in value.split(b",")]
    return b", ".join(protocol for protocol in offered if not _is_key_protocol(protocol.lower()))


def _is_key_protocol(protocol: bytes) -> bool:
    """As `openai-insecure-api-key.sk-...` and `openai-project.proj_...`."""
    return is_key(protocol) or protocol.partition(b".")[0] in _ACCOUNTS


def _is_key_parameter(pair: bytes) -> bool:
    name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).strip().lower()
    return name in _QUERY or is_key(name)
