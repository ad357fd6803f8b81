"""Make calls of our own from a file, so that their replies are kept before anybody asks."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from sidecar.config.model import Trust
from sidecar.http.fields import Fields, valid
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.http.message import Header, RequestHead, ResponseHead
from sidecar.policy.cron import Cron
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.call import Call
from sidecar.proxy.detached import Nobody
from sidecar.proxy.serve import serve
from sidecar.proxy.sink import NullSink
from sidecar.upstream.off_loop import off_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.config.model.cache import WarmUp as Config
    from sidecar.control.serving import Serving

_log: Final = logging.getLogger(__name__)
_LARGEST: Final = 64 * 2**20
"""Bytes of the file that are read."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call of the file."""

    path: str
    body: msgspec.Raw
    headers: dict[str, str] = {}
    host: str = "localhost"
    client: str = "127.0.0.1"
    """The address of the caller for whom it is, if callers have no keys."""


_decode: Final = msgspec.json.Decoder(Line).decode


class _Told(NullSink):
    """Notes the status, and drops the rest."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def begin(
        self, head: ResponseHead, data: list[bytes], ended: bool, trailers: Sequence[Header]
    ) -> None:
        """Note it."""
        self._call.status = head.status


class WarmUp:
    """Runs once when it is configured, and then by its schedule."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._config: Config | None = None
        self._task: asyncio.Task[None] | None = None

    def configure(self, config: Config | None) -> None:
        """Use *config* from now on; the same as before changes nothing."""
        if config == self._config:
            return
        self.stop()
        self._config = config
        if config is not None:
            self._task = asyncio.create_task(self._run(config))

    def stop(self) -> None:
        """Make no more calls."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, config: Config) -> None:
        await self._warm(config, anew=False)
        if config.schedule is None:
            return
        cron = Cron(config.schedule)
        due: datetime | None = datetime.now(UTC)
        while due is not None:
            now = datetime.now(UTC)
            due = cron.after(max(due, now))  # a sleep may end early
            if due is not None:
                await asyncio.sleep((due - now).total_seconds())
                await self._warm(config, anew=True)

    async def _warm(self, config: Config, *, anew: bool) -> None:
        """Make all calls of the file. *anew*: kept replies are fetched again."""
        try:
            lines = await off_loop(lambda: _read(config.file))
        except (OSError, ValueError) as error:
            told = {"file": config.file, "error": str(error)}
            _log.warning("can't warm the cache up", extra=told)
            return
        places = asyncio.Semaphore(config.concurrency)
        done = await asyncio.gather(*(self._call(line, places, anew=anew) for line in lines))
        failed = len([status for status in done if status != 200])
        _log.info("warmed the cache up", extra={"calls": len(done), "failed": failed})

    async def _call(self, line: Line, places: asyncio.Semaphore, *, anew: bool) -> int:
        async with places:
            nobody = Nobody(line.client, Trust())
            content = bytes(line.body)
            body = RequestBody(nobody, self._serving.body_memory, content)
            call = Call(nobody, _head(line, len(content), anew=anew), body)
            call.sink = _Told(call)
            await serve(call, self._serving.snapshot, self._serving.recorder)
            return call.status


def _read(name: str) -> list[Line]:
    """Read the file. Raise OSError or ValueError, which names the line."""
    with open(name, "rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError(f"longer than {_LARGEST} bytes")
    lines = []
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        try:
            line = _decode(row)
            if not _sound(line):
                raise ValueError("expected a path, and headers that are valid")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
        lines.append(line)
    return lines


def _sound(line: Line) -> bool:
    """Whether it makes a valid head: each text stays on its line."""
    texts = (line.path, line.host, *line.headers, *line.headers.values())
    return (
        line.path.startswith("/")
        and " " not in line.path
        and not any("\r" in text for text in texts)
        and valid(_block(line, 0))
    )


def _head(line: Line, size: int, *, anew: bool) -> RequestHead:
    head = RequestHead()
    head.method, head.host, head.body = b"POST", line.host.lower().encode(), size
    head.target = line.path.encode()
    head.path = head.target.partition(b"?")[0]
    block = _block(line, size) + (b"\r\nCache-Control: no-cache" if anew else b"")
    head.fields = Fields(block, REQUEST_FIELDS)
    return head


def _block(line: Line, size: int) -> bytes:
    headers = {"content-type": "application/json", **line.headers, "content-length": str(size)}
    lines = (f"\r\n{name}: {value}" for name, value in {"host": line.host, **headers}.items())
    return "".join(lines).encode("latin-1", "replace")
