"""Calls as fast as they go, made by wrk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from bench import messages
from bench.load import LoadError, run

# The request is made once; only the summary runs Lua.
_SCRIPT: Final = """
wrk.method = "POST"
wrk.body = %s
%s
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    '{"calls":%%d,"seconds":%%f,"p50_us":%%f,"p99_us":%%f,"errors":%%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def write_script(folder: Path) -> Path:
    """Write the Lua script that makes our call; JSON strings are Lua strings here."""
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in messages.HEADERS.items()
    )
    script = folder / "calls.lua"
    body = json.dumps(messages.body(stream=False).decode())
    script.write_text(_SCRIPT % (body, headers), "utf-8")
    return script


def saturate(script: Path, port: int, connections: int, seconds: int) -> dict[str, float]:
    """Keep *connections* busy for *seconds*: calls, seconds, p50_us, p99_us."""
    url = f"http://127.0.0.1:{port}{messages.PATH}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    result = run([*command, "-s", str(script), url])
    if result["errors"] or not result["calls"]:
        raise LoadError(f"{result['errors']} errors in {result['calls']} calls")
    return result
