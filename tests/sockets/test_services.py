"""docs/examples/services.yaml: two services behind one sidecar, each treated as its row says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from sidecar.config.load import load
from sidecar.upstream.endpoints.endpoint import Endpoint
from tests.sockets.scripted import Fleet, Scripted, chat, status

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "services.yaml"
QUICKER = 50
"""By how much timeouts are shortened where a test waits for them."""
ASKS = {
    "assistant": chat("assistant-large"),
    "classifier": chat("small", b"x-service: classifier"),
}


class Row(NamedTuple):
    """Of the table that stands in the example."""

    first_byte: int
    """Milliseconds."""
    retries: int
    failures: int
    """Percent, at which the breaker opens."""


TABLE = {"assistant": Row(2000, 2, 50), "classifier": Row(1500, 1, 20)}
CHANGED = {"assistant": Row(1000, 0, 30), "classifier": Row(2500, 3, 70)}


def rewritten(text: str, table: dict[str, Row]) -> str:
    """The example with other numbers."""
    for name, row in table.items():
        section = re.search(rf"^  {name}:\n    timeouts.*\n.*\n.*\n", text, re.MULTILINE)
        assert section is not None
        new = re.sub(r"first_byte: \d+ms", f"first_byte: {row.first_byte}ms", section[0])
        new = re.sub(r"max: \d+", f"max: {row.retries}", new)
        new = re.sub(r"failure_rate: \d+%", f"failure_rate: {row.failures}%", new)
        text = text.replace(section[0], new)
    return text


class Services(Fleet):
    """The example, its servers scripted ones."""

    def __init__(self) -> None:
        self.of = {name: [Scripted(f"{name}-{n}") for n in range(2)] for name in TABLE}
        super().__init__(*self.of["assistant"], *self.of["classifier"])
        text = EXAMPLE.read_text(encoding="utf-8").replace("127.0.0.1:14001", "127.0.0.1:0")
        for port, server in zip((9101, 9102, 9201, 9202), self.fleet, strict=True):
            assert f":{port}}}" in text
            text = text.replace(f":{port}}}", f":{server.port}}}")
        self.text = text + "\naccess_log: {path: null}\nadmin: {address: null}\n"

    async def apply(self) -> None:
        await self.serving.apply(load(self.text, file="services.yaml"))

    def forgets(self) -> None:
        """The servers do nothing wrong, and breakers know of nothing."""
        for server in self.fleet:
            server.acts, server.always, server.requests = [], None, []
        for endpoint in self.endpoints:
            for breaker in endpoint.breakers.values():
                breaker.force("closed", time.monotonic())
                breaker.force(None, time.monotonic())

    def first(self, service: str) -> Endpoint:
        return next(endpoint for endpoint in self.endpoints if endpoint.upstream == service)


async def behaves(stage: Services, service: str, row: Row) -> None:
    """All of *row* can be seen in what the service's calls come to."""
    await _waits(stage, service, row)
    await _tries(stage, service, row.retries + 1)
    tenths = row.failures // 10
    await _trips(stage, service, tenths - 1, "closed")
    await _trips(stage, service, tenths, "open")


async def _waits(stage: Services, service: str, row: Row) -> None:
    """So long for each reply's beginning, with so many retries."""
    text = stage.text
    short = row.first_byte // QUICKER
    stage.text = re.sub(rf"first_byte: {row.first_byte}ms", f"first_byte: {short}ms", text)
    await stage.apply()
    stage.forgets()
    for server in stage.of[service]:
        server.always = "hang"
    got, body, reply = await stage.gets(ASKS[service])
    assert (got, reply.code) == (504, "first_byte_timeout")
    assert f"within {short / 1000:g} s" in json.loads(body)["error"]["message"]
    assert sum(server.calls for server in stage.of[service]) == row.retries + 1
    stage.text = text
    await stage.apply()


async def _tries(stage: Services, service: str, attempts: int) -> None:
    stage.forgets()
    for server in stage.of[service]:
        server.always = status(503)
    assert (await stage.gets(ASKS[service]))[0] == 503
    assert sum(server.calls for server in stage.of[service]) == attempts


async def _trips(stage: Services, service: str, failures: int, state: str) -> None:
    """*failures* of an endpoint's first ten calls leave its breaker in *state*."""
    stage.forgets()
    server = stage.of[service][0]
    server.acts = [status(500)] * failures
    client = await stage.client()
    while server.calls < 10:
        await stage.gets(ASKS[service], client)
    breaker = stage.first(service).breakers[f"policy:{service}"]
    assert breaker.status == state
    seen = server.calls
    for _ in range(4):
        assert (await stage.gets(ASKS[service], client))[0] == 200
    assert server.calls == seen + (0 if state == "open" else 2)


def test_the_example_says_what_its_table_says() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    rows = re.findall(r"^#   (\w+) +(\d+) ms +(\d+) +(\d+) % failures$", text, re.MULTILINE)
    assert {name: Row(*map(int, row)) for name, *row in rows} == TABLE
    assert rewritten(text, TABLE) == text
    assert rewritten(text, CHANGED) != text


@pytest.mark.parametrize("service", TABLE)
async def test_each_service_is_treated_by_its_row_before_and_after_a_change(service: str) -> None:
    other = next(name for name in TABLE if name != service)
    async with Services() as stage:
        await behaves(stage, service, TABLE[service])
        stage.text = rewritten(stage.text, {service: CHANGED[service]})
        await stage.apply()
        await behaves(stage, service, CHANGED[service])
        await behaves(stage, other, TABLE[other])


async def test_a_change_reaches_calls_between_others() -> None:
    """Calls go on all the while; each has the numbers of the moment it began."""
    async with Services() as stage:
        servers = stage.of["assistant"]
        for server in servers:
            server.acts = ["wait"]
            server.answer, server.always = status(503), status(503)
        early = stage.begins(stage.gets(ASKS["assistant"]))
        while not any(server.calls for server in servers):
            await stage.gets(ASKS["classifier"])
        for server in servers:
            server.acts = []
        stage.text = rewritten(stage.text, CHANGED)
        await stage.apply()
        seen = sum(server.calls for server in servers)
        late = await stage.gets(ASKS["assistant"])
        assert late[0] == 503
        assert sum(server.calls for server in servers) == seen + 1  # no retries any more
        for server in servers:
            server.gate.set()
        assert (await early)[0] == 503
        assert sum(server.calls for server in servers) == seen + 1 + 2  # two, as when it began
