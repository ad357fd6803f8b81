"""Callers of a sidecar in simulated time: applications that wait so long, and SDKs that retry."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from sidecar.config.model import Trust
from sidecar.http.fields import Fields
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.http.message import RequestHead
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.client_sink import ClientSink
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.routing.snapshot import Snapshot
from sidecar.proxy.serve import serve

LEFT = 0
"""Instead of a status: the caller did not wait for it."""


class Outcome(NamedTuple):
    began: float
    seconds: float
    status: int
    fields: dict[bytes, bytes]

    @property
    def ok(self) -> bool:
        return self.status == 200


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.first: float | None = None
        """When the first of it was written."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.first is None:
            self.first = time.monotonic()
        self.data += data

    def get_write_buffer_size(self) -> int:
        return 0


class Downstream:
    """Takes everything at once."""

    writable = True
    trust = Trust()
    direct = True
    access = None
    certificate = None
    connection = ""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.wire = _Wire()
        self.transport = cast("asyncio.Transport", self.wire)

    def pause_reading(self, reason: int) -> None:
        pass

    def resume_reading(self, reason: int) -> None:
        pass

    def reset(self) -> None:
        pass

    def denied(self, reason: str) -> None:
        pass

    def finished(self, call: Call, now: float) -> None:
        pass


async def call(
    snapshot: Snapshot,
    recorder: Recorder,
    body: bytes = b"{}",
    peer: str = "10.0.0.1",
    patience: float = 600.0,
    **headers: str,
) -> Outcome:
    """One call, of a caller that leaves after *patience* seconds."""
    began = time.monotonic()
    made, downstream = make(body, peer, headers=headers)
    if not await served(made, snapshot, recorder, patience):
        return Outcome(began, time.monotonic() - began, LEFT, {})
    return _outcome(began, downstream.wire.data)


def make(
    body: bytes,
    peer: str = "10.0.0.1",
    target: bytes = b"/v1/chat",
    headers: Mapping[str, str] | None = None,
) -> tuple[Call, Downstream]:
    """A call that has arrived, and the connection that it came on."""
    downstream = Downstream(peer)
    head = RequestHead()
    head.method, head.target, head.host = b"POST", target, b"a"
    head.path = target.partition(b"?")[0]
    head.body = len(body)
    fields = {"content-type": "application/json", **(headers or {})}
    lines = [b"\r\n%b: %b" % (_name(k), v.encode()) for k, v in fields.items()]
    head.fields = Fields(b"".join(lines), REQUEST_FIELDS)
    made = Call(downstream, head, RequestBody(downstream, BodyMemory(2**30, 1.0), body))
    made.sink = ClientSink(made, downstream)
    return made, downstream


async def served(call: Call, snapshot: Snapshot, recorder: Recorder, patience: float) -> bool:
    """Serve *call*; False if its caller left after *patience* seconds."""
    task = asyncio.create_task(serve(call, snapshot, recorder))
    _, pending = await asyncio.wait({task}, timeout=patience)
    if pending:
        task.cancel()
        await asyncio.wait({task})
    return not pending


def _name(name: str) -> bytes:
    return name.replace("_", "-").encode()


def _outcome(began: float, data: bytes) -> Outcome:
    lines, _, _ = data.partition(b"\r\n\r\n")
    first, *rest = lines.split(b"\r\n")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(b":") for line in rest)}
    return Outcome(began, time.monotonic() - began, int(first.split()[1]), fields)


async def sdk(
    snapshot: Snapshot,
    recorder: Recorder,
    draws: random.Random,
    retries: int = 2,
    patience: float = 600.0,
    **more: Any,
) -> Outcome:
    """As openai-python calls: `_base_client.py`, `_should_retry` and `_calculate_retry_timeout`."""
    began = time.monotonic()
    for retry in range(retries + 1):
        outcome = await call(
            snapshot, recorder, patience=patience,
            x_stainless_retry_count=str(retry), x_stainless_read_timeout=f"{patience:g}", **more,
        )  # fmt: skip
        if outcome.ok or retry == retries or not _should_retry(outcome):
            break
        await asyncio.sleep(_wait(outcome, retry, draws))
    return outcome._replace(began=began, seconds=time.monotonic() - began)


def _should_retry(outcome: Outcome) -> bool:
    said = outcome.fields.get(b"x-should-retry")
    if said is not None:
        return said == b"true"
    return outcome.status in (LEFT, 408, 409, 429) or outcome.status >= 500


def _wait(outcome: Outcome, retry: int, draws: random.Random) -> float:
    said = outcome.fields.get(b"retry-after-ms")
    named = float(said) / 1e3 if said else float(outcome.fields.get(b"retry-after", 0))
    if 0 < named <= 60:
        return named
    return float(min(0.5 * 2.0**retry, 8.0) * (1 - 0.25 * draws.random()))
