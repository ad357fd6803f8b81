"""Makes who may call of a listener's configuration. Imported where a listener has `access`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.policy.access import Access

if TYPE_CHECKING:
    from sidecar.config.model import Access as Config
    from sidecar.policy.jwks import PublicKey


def token_keys(config: Config | None) -> tuple[PublicKey, ...]:
    """Read the keys of tokens; none where there are no tokens. Raise OSError for a wrong file."""
    if config is None or config.tokens is None:
        return ()
    from sidecar.policy.jwks import read_keys

    try:
        return read_keys(Path(config.tokens.keys).read_bytes())
    except ValueError as error:
        raise OSError(0, f"{config.tokens.keys} {error}") from error


def know(access: Access, config: Config, keys: Sequence[PublicKey]) -> None:
    """Have *access* know the callers of *config* from now on. *keys*: those of tokens."""
    access.configure(config.callers)
    names, tokens = config.certificates, config.tokens
    access.certificates = None if names is None else names.settings()
    access.tokens = None
    if tokens is not None:
        from sidecar.policy.jwt import Tokens

        access.tokens = Tokens(tokens.settings(), keys)
