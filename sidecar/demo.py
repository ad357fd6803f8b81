"""`sidecar demo`: a simulated fleet, a sidecar in front of it, and a call to look at."""

from __future__ import annotations

import sys

import aiohttp
import msgspec
import uvloop

from sidecar.app import App
from sidecar.control import logs
from sidecar.control.sources.fixed import FixedSource
from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.fleet import Fleet

_FLEET = (
    "latency=lognormal:120ms:0.4,tokens_per_second=40,seed=1",
    "latency=lognormal:150ms:0.4,tokens_per_second=40,seed=2",
    "latency=lognormal:400ms:0.6,tokens_per_second=25,seed=3",
)
_CONFIG = """\
listeners:
  - {{mode: reverse, address: "127.0.0.1:{port}"}}
upstreams:
  simulated:
    dialect: openai
    endpoints:
{endpoints}
  claude:
    dialect: anthropic
    endpoints:
{endpoints}
routes:
  - {{name: messages, match: {{path: /v1/messages}}, upstream: claude}}
  - {{name: chat, match: {{path: /v1/}}, upstream: simulated}}
admin: {{address: "127.0.0.1:{admin}"}}
log_level: warning
"""
_BODY = {
    "model": "simulated",
    "stream": True,
    "messages": [{"role": "user", "content": "What does a sidecar do?"}],
}
_HINTS = """
The sidecar listens on http://127.0.0.1:{port} and keeps running. Call it:

  curl http://127.0.0.1:{port}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "m", "messages": [{{"role": "user", "content": "hello"}}]}}'
  OPENAI_BASE_URL=http://127.0.0.1:{port}/v1 OPENAI_API_KEY=none python your_app.py
  ANTHROPIC_BASE_URL=http://127.0.0.1:{port} ANTHROPIC_API_KEY=none python your_app.py

Look at it:

  http://127.0.0.1:{admin}/                          in a browser: a live page
  curl 'http://127.0.0.1:{admin}/upstreams?pretty'   endpoints, what they did, their connections
  curl http://127.0.0.1:{admin}/metrics              Prometheus metrics
  {program} calls --admin 127.0.0.1:{admin}    the last calls, and each with its attempts

Each call writes one line here. Ctrl-C stops.
"""


def demo(*, port: int, admin: int, once: bool) -> int:
    """Run the demo until interrupted, or for one call. 1 when a port is taken."""
    logs.setup("warning")
    try:
        uvloop.run(_demo(port, admin, once))
    except OSError as error:
        reason = error.strerror or str(error)
        print(f"sidecar demo: {reason}; try --port and --admin-port", file=sys.stderr)
        return 1
    return 0


async def _demo(port: int, admin: int, once: bool) -> None:
    fleet = Fleet()
    urls = await fleet.start([Behaviour.parse(text) for text in _FLEET])
    print(f"1. {len(urls)} simulated LLM endpoints: {' '.join(urls)}")
    endpoints = "\n".join(f"      - {{url: {url}}}" for url in urls)
    app = App(FixedSource(_CONFIG.format(port=port, admin=admin, endpoints=endpoints)))
    try:
        await app.start()
        print(f"2. a sidecar in front of them: http://127.0.0.1:{port}")
        print(f"3. a call: POST /v1/chat/completions, {_BODY['messages']}\n")
        await _carry_a_call(f"http://127.0.0.1:{port}/v1/chat/completions")
        if once:
            app.stop()
        else:
            print(_HINTS.format(port=port, admin=admin, program=sys.argv[0]), flush=True)
        await app.run()
    finally:
        await fleet.stop()


async def _carry_a_call(url: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=_BODY, headers={"authorization": "Bearer none"}) as reply,
    ):
        print(f"   HTTP {reply.status}")
        for name in ("x-request-id", "x-trace-id", "x-simulated-endpoint"):
            print(f"   {name}: {reply.headers.get(name)}")
        print("   ", end="")
        async for line in reply.content:
            print(_token(line.decode()), end="", flush=True)
        print()


def _token(line: str) -> str:
    """The text in a line of the stream, if it has any."""
    if not line.startswith("data: {"):
        return ""
    event = msgspec.json.decode(line[6:])
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
