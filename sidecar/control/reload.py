"""Read, parse, bind, swap: what happens to a configuration, at the start and at each change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.ca.folder import KEY_FILE, default_folder
from sidecar.config.load import Awaits, ConfigErrors, Examine, Loaded, Written, load
from sidecar.config.overrides import Overrides
from sidecar.control import logs
from sidecar.control.examine import examine, examine_again
from sidecar.control.watcher import FileWatch
from sidecar.upstream.connect.tls import stamp, system_roots, uses_system_roots
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from sidecar.control.admin import AdminServer
    from sidecar.control.serving import Serving
    from sidecar.control.sources.base import Source

_log: Final = logging.getLogger(__name__)
_NONE: Final = Overrides()


def _any_may_come(_: str) -> bool:
    return True


class Reloader:
    """Keeps `serving` at what *sources* hold, each laid over those before it."""

    def __init__(
        self, sources: Sequence[Source], serving: Serving, overrides: Overrides = _NONE
    ) -> None:
        self.sources = sources
        self._overrides = overrides
        self.loaded: Loaded
        self._referred: FileWatch | None = None
        """The watch of the files that the configuration refers to."""
        self._refused: frozenset[str] = frozenset()
        """Files that the last configuration named, if it was refused."""
        self._awaited: frozenset[str] = frozenset()
        """Files of keys that have not come since the start."""
        self._roots = ""
        """A stamp of the system's roots as they serve."""
        self._published = ""
        """A stamp of the local CA as it was published."""
        self.admin: AdminServer | None = None
        self._serving = serving
        serving.stats.sources = [source.stats for source in sources]
        self._turn = asyncio.Lock()
        """The watcher, a signal and the admin API may all ask at once."""

    async def start(self) -> None:
        """Load and serve for the first time. Raise ConfigErrors or OSError.

        Where the sources have a bad text, but keep the one that served before, that serves.
        """
        refused: ConfigErrors | None = None
        texts = [source.read().text for source in self.sources]
        try:
            loaded, self._roots = self._load(texts, examine, _any_may_come)
        except ConfigErrors as error:
            refused = error
            loaded, self._roots = self._last_good(error)
        logs.set_level(loaded.config.log_level)
        await self._serving.apply(loaded)
        self._accept(loaded)
        if refused is None:
            self._tell_sources()
        else:
            self._reject(refused, "the configuration is refused, and the one before it serves")

    def _last_good(self, refused: ConfigErrors) -> tuple[Loaded, str]:
        """Load what the sources keep. Raise *refused* if that is no better."""
        kept = [source.last_good() for source in self.sources]
        texts = [each.text for each in kept if each is not None]
        if len(texts) < len(kept):
            raise refused
        try:
            loaded = self._load(texts, examine, _any_may_come)
        except ConfigErrors:
            raise refused from None
        for source, each in zip(self.sources, kept, strict=True):
            source.stats.revision = "" if each is None else each.revision
        return loaded

    async def reload(self) -> None:
        """Serve what the sources say now; if it is bad, go on with what serves, and say so."""
        async with self._turn:
            await self._reload()

    async def _reload(self) -> None:
        try:
            loaded, roots = await off_loop(self._read)
            if loaded.hash == self.loaded.hash and not self._changed_beside(roots):
                self._serving.stats.reloads.unchanged += 1
                self._serving.stats.reloads.last_error = ""
                self._refused = frozenset()
                return
            self._refused = loaded.files  # until it is taken
            await self._apply(loaded)
        except (ConfigErrors, OSError) as error:
            self._reject(error)
            return
        self._roots = roots
        if loaded.config.log_level != self.loaded.config.log_level:
            logs.set_level(loaded.config.log_level)
        self._accept(loaded)
        self._look_again()
        await off_loop(self._tell_sources)
        _log.info(
            "configuration reloaded",
            extra={
                "source": ", ".join(source.stats.name for source in self.sources),
                "revision": ", ".join(source.stats.revision for source in self.sources),
                "hash": loaded.hash[:12],
            },
        )

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
        """Reload whenever a source changes, or a file that the text refers to. Never returns.

        Files of a refused text count too: a Secret may come later than the text that names it.
        """
        self._referred = FileWatch(
            lambda: map(Path, self.loaded.files | self._refused),
            self.reload,
            known={},
            beside=lambda: self._changed_beside(stamp(_roots(self.loaded))),
        )
        async with asyncio.TaskGroup() as tasks:
            for source in self.sources:
                tasks.create_task(source.watch(self.reload))
            tasks.create_task(self._referred.run())

    def _look_again(self) -> None:
        """The configuration may refer to other files now."""
        if self._referred is not None:
            self._referred.look_again()

    def _changed_beside(self, roots: str) -> bool:
        """Whether the system's roots are others now, of which *roots* is a stamp, or our own CA."""
        return roots != self._roots or stamp(_authority(self.loaded)) != self._published

    def _read(self) -> tuple[Loaded, str]:
        """What the sources say, and a stamp of the roots that go with it.

        Raise ConfigErrors or OSError.
        """
        texts = [source.read().text for source in self.sources]
        look = partial(examine_again, before=self.loaded.config)
        return self._load(texts, look, self._awaited.__contains__)

    def _load(self, texts: Sequence[str], look: Examine, awaits: Awaits) -> tuple[Loaded, str]:
        """Load *texts* of the sources. *look* at the machine.

        *awaits*: whether a key's file may come later. At the start any may, for a pod must not
        fail for seconds; later only those that are waited for still: what serves has its keys.
        """
        names = [source.stats.name for source in self.sources]
        first, *others = map(Written, texts, names)
        loaded = load(first.text, file=first.file, over=others, examine=look, awaits=awaits)
        return self._overrides.over(loaded), stamp(_roots(loaded))

    def _tell_sources(self) -> None:
        for source in self.sources:
            source.accepted()

    def _accept(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._refused = frozenset()
        self._awaited = loaded.awaited
        self._published = stamp(_authority(loaded))  # it may just have been made
        reloads = self._serving.stats.reloads
        reloads.accepted += 1
        reloads.last_accepted = time.time()
        reloads.last_error = ""
        reloads.config_hash = loaded.hash
        reloads.warnings = tuple(map(str, loaded.warnings))
        reloads.awaited = tuple(map(str, loaded.unchecked))
        for warning in reloads.warnings:
            _log.warning("%s", warning)
        for missing in reloads.awaited:
            _log.warning("%s; the sidecar waits for it, and sends no call without it", missing)

    def _reject(
        self, error: Exception, told: str = "configuration refused, the last valid one stays in use"
    ) -> None:
        reloads = self._serving.stats.reloads
        reloads.rejected += 1
        if isinstance(error, ConfigErrors):
            self._refused = error.files
            self._look_again()
        if str(error) == reloads.last_error:  # a file that it names has come, but was not all
            return
        reloads.last_error = str(error)
        _log.error("%s:\n%s", told, error)


def _authority(loaded: Loaded) -> list[Path]:
    """The file of the local CA, if it is published: what replaces it has to be published too."""
    settings = loaded.config.intercept
    if settings.publish is None:
        return []
    return [(Path(settings.ca) if settings.ca else default_folder()) / KEY_FILE]


def _roots(loaded: Loaded) -> list[Path]:
    """Where the system's roots lie, if any endpoint is verified against them."""
    used = any(map(uses_system_roots, loaded.config.upstreams.values()))
    return system_roots() if used else []
