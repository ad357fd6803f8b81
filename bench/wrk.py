"""Calls as fast as they go, made by wrk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench import messages, provider
from bench.load import LoadError, run

PROVIDER: Final = "provider"
"""Heads of an SDK and of a provider, new in each call."""
PLAIN: Final = "plain"
"""Small heads, the same in each call."""
CLOSING: Final = "closing"
"""As a provider's, each on a new connection to the endpoint."""

Scripts = Mapping[str, Path]

# Heads are joined from strings: wrk's own `format` would walk a table in each call.
_SCRIPT: Final = """
local random, format = math.random, string.format
local function hex(digits)
  return format(("%%04x"):rep(digits / 4), random(0, 65535), random(0, 65535), random(0, 65535),
    random(0, 65535), random(0, 65535), random(0, 65535), random(0, 65535), random(0, 65535))
end
local body = %s
local host
function init()
  math.randomseed(os.time())
  host = wrk.host .. ":" .. wrk.port
end
function request()
  return %s
end
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"calls":%%d,"seconds":%%f,"p50_us":%%f,"p99_us":%%f,"errors":%%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def write_scripts(folder: Path) -> Scripts:
    """Write a Lua script for each kind of traffic."""
    kinds = {
        PROVIDER: _script(provider.HEADERS, messages.body()),
        PLAIN: _script(messages.HEADERS, messages.body(messages.PLAIN_MARK)),
        CLOSING: _script(provider.HEADERS, messages.body(messages.CLOSE_MARK)),
    }
    for name, text in kinds.items():
        (folder / f"{name}.lua").write_text(text, "utf-8")
    return {name: folder / f"{name}.lua" for name in kinds}


def _script(headers: Mapping[str, str], content: bytes) -> str:
    head = "\r\n".join(messages.request_lines(headers, "{host}", content)) + "\r\n\r\n"
    # JSON strings are Lua strings here.
    parts = []
    for part in re.split(r"(\{\w+\})", head):
        name = part[1:-1]
        if not part.startswith("{"):
            parts.append(json.dumps(part))
        else:
            parts.append("host" if name == "host" else f"hex({provider.HEX[name]})")
    return _SCRIPT % (json.dumps(content.decode()), " .. ".join([*parts, "body"]))


def saturate(script: Path, port: int, connections: int, seconds: int) -> dict[str, float]:
    """Keep *connections* busy for *seconds*: calls, seconds, p50_us, p99_us."""
    url = f"http://127.0.0.1:{port}{messages.PATH}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    result = run([*command, "-s", str(script), url])
    if result["errors"] or not result["calls"]:
        raise LoadError(f"{result['errors']} errors in {result['calls']} calls")
    return result
