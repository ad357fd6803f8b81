"""The configuration of the sidecar under test: every upstream below a path of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peers import Sidecar

DIALECTS = ("openai", "anthropic")
EVERYTHING: dict[str, Any] = {
    "gate": {"wait": "10s"},
    "retry": {"max": 2},
    "hedge": {"after": "10s"},
    "breaker": {"min_calls": 100},
}
"""A policy that reads, holds back, tries again and breaks, none of which should be seen."""


def write(path: Path, sidecar: Sidecar, upstreams: dict[str, int], dead: int) -> None:
    """Write to *path* what makes *sidecar* route `/NAME/...` to port `upstreams[NAME]`.

    For each dialect there are also `/DIALECT-scripted`, its like with tight timers
    (`/DIALECT-tight`), with a retry budget of nothing (`/DIALECT-spent`), with
    bodies shaped and redacted (`/DIALECT-redact`), with kept and shared replies of the simulated
    fleet (`/DIALECT-cached`), with a second endpoint
    where nothing listens (`/DIALECT-pair`), and `/DIALECT-unreachable`, which has only that (port
    *dead*). `/DIALECT-all` has a policy with everything on, and asks for the usage of streams.
    """
    named = {name: _upstream(to) for name, to in upstreams.items()}
    routes = [_route(name, name) for name in upstreams]
    for dialect in DIALECTS:
        scripted, gone = f"{dialect}-scripted", f"{dialect}-unreachable"
        named[scripted] = _upstream(upstreams["scripted"], dialect)
        named[gone] = _upstream(dead, dialect)
        routes += [_route(scripted, scripted), _route(gone, gone)]
        routes += [
            {**_route(f"{dialect}-{policy}", scripted), "policy": policy}
            for policy in ("tight", "spent", "redact")
        ]
        pair = named[f"{dialect}-pair"] = _upstream(dead, dialect)
        pair["endpoints"] += _upstream(upstreams["scripted"])["endpoints"]
        routes.append(_route(f"{dialect}-pair", f"{dialect}-pair"))
        kept = f"{dialect}-cached"
        named[kept] = _upstream(upstreams["simulated"], dialect)
        routes.append({**_route(kept, kept), "policy": "cached"})
        # No call of this one reaches its upstream.
        routes.append({**_route(f"{dialect}-rules", gone), "policy": "rules"})
    for dialect in (*DIALECTS, "gemini"):
        named[f"{dialect}-all"] = _upstream(upstreams["scripted"], dialect)
        routes.append({**_route(f"{dialect}-all", f"{dialect}-all"), "policy": "everything"})
    named["llama-all"] = _upstream(upstreams["llama"])
    routes.append({**_route("llama-all", "llama-all"), "policy": "everything"})
    named["openai-all"]["include_usage"] = True
    routes += [
        {**_route(f"{name}-batch", name), "policy": "batches"} for name in ("llama", "simulated")
    ]
    routes.append({**_route("only-tasks", "llama"), "name": "tasks"})
    config = {
        "listeners": [{"address": f"127.0.0.1:{sidecar.port}"}, {"path": str(sidecar.socket)}],
        "upstreams": named,
        "routes": routes,
        "policies": {
            "tight": {"timeouts": {"first_byte": "300ms", "idle": "300ms"}, "retry": {"max": 0}},
            "rules": {
                "rules": [
                    {"name": "ping", "exact": ["ping"], "answer": "pong"},
                    {"name": "bomb", "glob": ["*bomb*"], "refuse": {"message": "Not here."}},
                ]
            },
            "everything": EVERYTHING,
            "cached": {"cache": {}, "single_flight": {}},
            "batches": {"batch": {"window": "50ms", "items": 8}},
            "redact": {"redact": {}, "shape": {"max_tokens": {"cap": 64}, "trim_system": True}},
            "spent": {"retry": {"budget": {"ratio": "0%", "min_per_second": 0}}},
        },
        "access_log": {"path": str(sidecar.log)},
        "tasks": {
            "continue": {
                "route": "tasks",
                "models": [{"model": "tiny"}],
                "chat_field": "max_tokens",
            }
        },
        "admin": {"address": f"127.0.0.1:{sidecar.admin}"},
    }
    path.write_text(json.dumps(config, indent=2))  # JSON is YAML.


def _upstream(port: int, dialect: str = "openai") -> dict[str, Any]:
    return {"dialect": dialect, "endpoints": [{"url": f"http://127.0.0.1:{port}"}]}


def _route(name: str, upstream: str) -> dict[str, object]:
    return {"match": {"path": f"/{name}"}, "upstream": upstream, "rewrite": "/"}
