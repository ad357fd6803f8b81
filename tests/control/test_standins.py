"""What stands in for a module answers as the real one, and is gone afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

STOOD_IN = """
import os, sys
from sidecar.control.slim import import_server
import_server()
from aiohttp import helpers
kind = helpers.parse_content_type("text/html; charset=utf-8")
assert kind == ("text/html", {"charset": "utf-8"})
assert helpers.parse_content_type("nonsense")[0] == "application/octet-stream"
assert "email._header_value_parser" in sys.modules
os.environ["http_proxy"] = "http://proxy:1"
assert helpers.getproxies()["http"] == "http://proxy:1"
assert helpers.proxy_bypass("other") in (False, 0)
import html
assert html.escape("<a>") == "&lt;a&gt;" and html.unescape("&eacute;&notit;") == "\\u00e9\\u00acit;"
from html.entities import html5
assert len(html._html5) == len(html5) and list(html._html5) == list(html5)
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
mail = EmailMessage()
mail["To"] = "A <a@b>"
assert mail["To"].addresses[0].username == "a"
import email.policy
assert email.policy.HTTP.header_factory["to"].max_count == 1
assert email.policy.HTTP.header_factory.registry["to"] is HeaderRegistry().registry["to"]
import yarl
assert yarl.URL("http://\u00e9x/").raw_host == "xn--x-9fa"
import attr
assert attr.make_class("A", {"b": attr.ib(validator=attr.validators.instance_of(int))})(1).b == 1
"""

WITHOUT = """
import sys
sys.modules["attr"] = sys.modules["html"] = None
from sidecar.control import standins
before = dict(sys.modules), list(sys.meta_path)
try:
    with standins.in_place():
        import attr
except ImportError:
    pass
assert (dict(sys.modules), list(sys.meta_path)) == before
"""


@pytest.mark.parametrize("program", [STOOD_IN, WITHOUT])
def test_in_a_process_of_its_own(program: str) -> None:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
