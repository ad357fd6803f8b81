"""Read, parse, bind, swap: what happens to a configuration, at the start and at each change."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.config.defaults import FILE, default_text
from sidecar.config.load import ConfigErrors, Loaded, load
from sidecar.config.overrides import Overrides
from sidecar.control import logs
from sidecar.control.watcher import Contents, contents, watch
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecar.control.admin import AdminServer
    from sidecar.control.serving import Serving

_log: Final = logging.getLogger(__name__)
_NONE: Final = Overrides()


class Reloader:
    """Keeps `serving` at what *file* says; without a file, at the built-in providers."""

    def __init__(
        self,
        file: Path | None,
        serving: Serving,
        text: str | None = None,
        overrides: Overrides = _NONE,
    ) -> None:
        self.file = file
        self._overrides = overrides
        self.loaded: Loaded
        self._known: Contents = {}
        self.admin: AdminServer | None = None
        self._serving = serving
        self._text = text
        self._turn = asyncio.Lock()
        """The watcher, a signal and the admin API may all ask at once."""

    @property
    def name(self) -> str:
        """The file, as errors and the admin API call it."""
        return str(self.file) if self.file is not None else FILE

    async def start(self) -> None:
        """Load and serve for the first time. Raise ConfigErrors or OSError."""
        self._known = contents(self._named(()))
        loaded = self._read()
        logs.set_level(loaded.config.log_level)
        await self._serving.apply(loaded)
        self._accept(loaded)

    async def reload(self) -> None:
        """Serve what the file says now; if it is bad, go on with what serves, and say so."""
        async with self._turn:
            await self._reload()

    async def _reload(self) -> None:
        try:
            loaded = await off_loop(self._read)
            if loaded.hash == self.loaded.hash:
                self._serving.stats.reloads.unchanged += 1
                self._serving.stats.reloads.last_error = ""
                return
            await self._apply(loaded)
        except (ConfigErrors, OSError) as error:
            self._reject(error)
            return
        if loaded.config.log_level != self.loaded.config.log_level:
            logs.set_level(loaded.config.log_level)
        self._accept(loaded)
        _log.info("configuration reloaded", extra={"file": self.name, "hash": loaded.hash[:12]})

    async def _apply(self, loaded: Loaded) -> None:
        """All of *loaded*, or nothing: the admin server moves back if the rest can't be had."""
        config = loaded.config
        before = self.loaded.config.admin
        if self.admin is not None:
            self.admin.rebind(config.admin.address, config.admin.health)
        try:
            await self._serving.apply(loaded)
        except OSError:
            if self.admin is not None:
                self.admin.rebind(before.address, before.health)
            raise

    async def watch(self) -> None:
        """Reload whenever the file, or one that it refers to, changes. Never returns."""
        await watch(lambda: self._named(self.loaded.files), self.reload, known=self._known)

    def _read(self) -> Loaded:
        if self.file is None:
            text = self._text if self._text is not None else default_text()
        else:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        return self._overrides.over(load(text, file=self.name))

    def _named(self, others: Iterable[str]) -> list[Path]:
        return [*([self.file] if self.file is not None else []), *map(Path, others)]

    def _accept(self, loaded: Loaded) -> None:
        self.loaded = loaded
        reloads = self._serving.stats.reloads
        reloads.accepted += 1
        reloads.last_accepted = time.time()
        reloads.last_error = ""
        reloads.config_hash = loaded.hash

    def _reject(self, error: Exception) -> None:
        reloads = self._serving.stats.reloads
        reloads.rejected += 1
        reloads.last_error = str(error)
        _log.error("configuration refused, the last good one keeps serving:\n%s", error)
