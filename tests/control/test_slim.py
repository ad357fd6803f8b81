"""What is imported in part is whole for everybody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER = """
import sys
from sidecar.control.slim import import_server
server, response = import_server()
for name in ("aiohttp.client", "urllib.request", "html.entities", "email._header_value_parser"):
    assert name not in sys.modules, f"{name} was imported"
import aiohttp
from aiohttp import web
assert aiohttp.ClientSession and aiohttp.__version__ and web.Application
assert (web.Server, web.Response) == (server, response)
"""

NOTIFY = """
import sys
from sidecar.control.slim import import_notify
notify = import_notify()
for name in ("anyio", "watchfiles", "watchfiles.main"):
    assert name not in sys.modules, f"{name} was imported"
import watchfiles
assert watchfiles.main.RustNotify is notify and watchfiles.awatch and watchfiles.__version__
"""


@pytest.mark.parametrize("program", [SERVER, NOTIFY])
def test_in_a_process_of_its_own(program: str) -> None:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
