"""What a sidecar tells of itself, for pictures."""

from __future__ import annotations

from typing import Any

AT = 1_795_830_000.0


def state(**changes: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "python": "3.11.2",
        "pid": 7,
        "started": AT - 11_530,
        "ready": True,
        "reason": "ready",
        "draining": False,
        "blocked_s": 0,
        "log_level": "info",
        "hash": "365be6af0639fa2e",
        "loaded_at": AT - 125,
        "config_error": "",
        "config_warnings": [],
        "config_awaited": [],
        "reloads": 2,
        "refused_reloads": 0,
        "sources": [
            {"name": "sidecar.yaml", "revision": "a", "heard_at": AT - 3, "error": ""},
        ],
        "calls_kept": 12,
        "log_dropped": 0,
        "cpu_s": 1.2,
        "memory": 41 * 2**20,
        **changes,
    }


def route(n: int, name: str, ok: int, failed: int, **changes: Any) -> dict[str, Any]:
    return {
        "n": n,
        "name": name,
        "match": [{}],
        "upstreams": [f"upstream-of-{name}"],
        "policies": ["default"],
        "in_flight": n,
        "calls": ok + failed,
        "outcomes": {"ok": ok, "failed": failed},
        "statuses": {"200": ok, "502": failed},
        "errors": {},
        "retries": {"503": failed},
        "fallbacks": {},
        "limited": {},
        "cache": {},
        "hedges": 0,
        "hedges_won": 0,
        "budget_exhausted": 0,
        "input": ok * 100,
        "output": ok * 20,
        "cost": ok * 0.001,
        "saved": 0.0,
        **changes,
    }


def endpoint(n: int, name: str, in_state: str = "in_use", **changes: Any) -> dict[str, Any]:
    return {
        "n": n,
        "upstream": "glm",
        "name": name,
        "labels": {},
        "weight": 1.0,
        "state": in_state,
        "reason": "",
        "until": None,
        "override": None,
        "in_flight": 1,
        "latency_ms": 212.4,
        "error_share": 0.0,
        "attempts": 1204,
        "statuses": {"200": 1200, "503": 4},
        "errors": {},
        "open": 2,
        "idle": 1,
        "waiting": 0,
        "reported": None,
        **changes,
    }


def tables() -> dict[str, dict[str, Any]]:
    routes = [route(0, "chat", 12_000, 4), route(1, "embeddings", 0, 0), route(2, "bad", 80, 20)]
    endpoints = [
        endpoint(0, "http://glm-0.models.svc.cluster.local:8000"),
        endpoint(
            1,
            "http://glm-1.models.svc.cluster.local:8000",
            "down",
            reason="status 503",
            weight=2.0,
            attempts=9,
            statuses={"503": 9},
            latency_ms=0.0,
        ),
        endpoint(2, "https://api.openai.com", "cooling", reason="it asked to be left alone"),
    ]
    return {
        "state": {"": state()},
        "routes": {each["name"]: each for each in routes},
        "endpoints": {f"glm\n{each['name']}": each for each in endpoints},
        "upstreams": {
            "glm": {
                "n": 0,
                "name": "glm",
                "dialect": "openai",
                "templated": False,
                "panic": ["default"],
                "ejected": {},
                "shed": {},
                "queue": {"in_flight": 4, "max_in_flight": 4, "queued": 7, "max_queued": 100},
                "keys": [
                    {"name": "a", "ends": "…abcd", "state": "in_use", "refused": None},
                    {"name": "b", "ends": "…efgh", "state": "refused", "refused": "status 401"},
                ],
            }
        },
        "budgets": {
            "monthly": {
                "name": "monthly",
                "unit": "money",
                "amount": 250.0,
                "per": "month",
                "period": "2026-11",
                "when_spent": "refuse",
                "exceeded": 0,
                "clients": 1,
                "client": "search",
                "spent": 251.5,
            }
        },
        "listeners": {
            "127.0.0.1:14001": {
                "name": "127.0.0.1:14001",
                "mode": "reverse",
                "open": 12,
                "accepted": 1_204,
                "refused": {"400": 3},
                "denied": {},
                "decisions": {},
                "passing": 0,
                "passed_in": 0,
                "passed_out": 0,
            }
        },
    }


def status() -> dict[str, Any]:
    of = tables()
    rows = {name: list(rows.values()) for name, rows in of.items() if name != "state"}
    return {"at": AT, "state": of["state"][""], **rows}
