"""What a sidecar that needs none of it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("redis", "aiohttp", "jsonschema", "watchfiles", "cryptography.x509", "http.client")
LATE = (
    "sidecar.store.exchange",
    "sidecar.policy.leases",
    "sidecar.policy.shared_pace",
    "sidecar.proxy.layers.redact",
    "sidecar.llm.stored_stream",
    "sidecar.proxy.layers.admission",
    "sidecar.proxy.layers.batches",
    "sidecar.proxy.layers.hedge",
    "sidecar.proxy.layers.resumed",
    "sidecar.proxy.tasks.tasks",
    "sidecar.control.sources.centre",
    "sidecar.listen.tls_listener",
    "sidecar.policy.access",
    "sidecar.policy.client_certificates",
    "sidecar.policy.jwt",
    "sidecar.control.live",
    "sidecar.control.explain",
)
STARTS = """
import asyncio, sys
from sidecar.app import App
from sidecar.control.sources.fixed import FixedSource
text = '''
listeners: [{address: "127.0.0.1:0"}]
upstreams: {u: {endpoints: [{url: http://127.0.0.1:1}]}}
routes: [{upstream: u}]
admin: {address: "127.0.0.1:0"}
access_log: {path: null}
'''

async def main():
    app = App(FixedSource(text))
    await app.start()
    app.stop()
    await app.run()

asyncio.run(main())
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    done = subprocess.run([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, check=True)
    return set(done.stdout.decode().split())


@pytest.mark.parametrize("module", [*HEAVY, *LATE])
def test_what_costs_memory_is_imported_where_it_is_needed(module: str, imported: set[str]) -> None:
    assert "sidecar.proxy.layers.attempt" in imported
    assert module not in imported
