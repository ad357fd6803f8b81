"""Settings of the command line, which win over the configuration at every reload."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, structs

from sidecar.config.load import Loaded


class Overrides(Struct, frozen=True, kw_only=True):
    """None: as the configuration has it."""

    health: str | None = None
    log_level: str | None = None

    def over(self, loaded: Loaded) -> Loaded:
        """Return *loaded* with these settings in it."""
        config = loaded.config
        changes: dict[str, Any] = {}
        if self.health is not None:
            changes["admin"] = structs.replace(config.admin, health=self.health)
        if self.log_level is not None:
            changes["log_level"] = self.log_level
        return structs.replace(loaded, config=structs.replace(config, **changes))
