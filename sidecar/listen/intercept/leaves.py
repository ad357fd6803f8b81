"""TLS contexts for intercepted hosts, each made when its host is first asked for."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.ca.folder import KEY_FILE, default_folder

if TYPE_CHECKING:
    from sidecar.ca.authority import Authority

_KEPT: Final = 256
"""Hosts; the one least recently asked for is dropped first."""
_FRESH: Final = 24 * 3600.0
"""Seconds after which a leaf, which is good for a month, is minted anew."""


class _Minted(NamedTuple):
    context: ssl.SSLContext
    until: float


class Leaves:
    """A bounded cache. `context` raises ca.folder.Unusable when there is no CA to sign with."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], _Minted] = OrderedDict()
        self._authority: tuple[Path, Authority] | None = None
        self._seen: dict[Path, tuple[int, int]] = {}
        """Inode and time of the file of each CA, as it was last looked at."""

    async def context(self, folder: str | None, host: str) -> ssl.SSLContext:
        """Return the context for *host*, signed by the CA in *folder* (None: this user's)."""
        at = default_folder() if folder is None else Path(folder)
        if self._replaced(at):
            self._kept.clear()
            self._authority = None
        key, now = (at, host), time.monotonic()
        minted = self._kept.get(key)
        if minted is None or minted.until <= now:
            # Not in the loop: the first time imports a library and makes keys.
            loop = asyncio.get_running_loop()
            context = await loop.run_in_executor(None, self._mint, at, host)
            minted = self._kept[key] = _Minted(context, now + _FRESH)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if key in self._kept:
            self._kept.move_to_end(key)
        return minted.context

    def _replaced(self, folder: Path) -> bool:
        """Whether there is another CA in *folder* than when we last looked.

        Where it is gone, the one that we know goes on: programs may still trust it.
        """
        try:
            status = (folder / KEY_FILE).stat()
        except OSError:
            return False
        now = (status.st_ino, status.st_mtime_ns)
        before = self._seen.get(folder)
        self._seen = {folder: now}
        return before is not None and before != now

    def _mint(self, folder: Path, host: str) -> ssl.SSLContext:
        from sidecar.ca.authority import open_authority

        kept = self._authority
        if kept is None or kept[0] != folder:
            kept = self._authority = folder, open_authority(folder)
        return kept[1].context(host)
