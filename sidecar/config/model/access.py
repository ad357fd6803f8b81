"""Who may call at a listener."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sidecar.config.model.base import Name, Section


class Access(Section, frozen=True):
    """Only calls with a key of a known caller are served; others get 401.

    The key comes in `authorization`, `x-api-key`, `api-key`, `x-goog-api-key` or `x-sidecar-key`,
    and does not go upstream.
    """

    callers: Annotated[
        dict[Name, Annotated[tuple[str, ...], Meta(min_length=1, max_length=10)]],
        Meta(
            min_length=1,
            max_length=1000,
            description="Names of callers, each with the SHA-256 digests of its keys: `sha256:` "
            "and 64 hexadecimal digits in lower case. Two keys let one be replaced.",
        ),
    ]
