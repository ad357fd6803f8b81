"""Tasks for tests."""

from __future__ import annotations

import json
from typing import Any

from sidecar.config.load import load
from sidecar.llm.dialects import Dialect
from sidecar.llm.tasks.asked import Asked, asked_of
from sidecar.llm.tasks.task import Task
from sidecar.proxy.tasks.compiled import compile_tasks

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "maxLength": 5}},
}


def tasks(dialect: Dialect = "openai", **more: Any) -> dict[str, Task]:
    """One task `t`, behind a route of *dialect*."""
    return compile_tasks(load(text(dialect, **more), file="").config)


def text(dialect: Dialect = "openai", **more: Any) -> str:
    """A configuration with the task `t`."""
    task = {"route": "r", "models": [{"model": "m"}], **more}
    config = {
        "listeners": [{"address": "127.0.0.1:14001"}],
        "upstreams": {
            "u": {"endpoints": [{"url": "http://u"}], "dialect": dialect},
            "v": {"endpoints": [{"url": "http://{x}.v"}]},
        },
        "routes": [
            {"name": "r", "upstream": "u", "match": {"path": "/r"}},
            {"name": "c", "upstream": "v", "match": {"host": "{x}.v"}},
        ],
        "tasks": {"t": task},
    }
    return json.dumps(config)


def asked(known: dict[str, Task], **body: Any) -> Asked:
    """A call for the task `t`."""
    return asked_of(json.dumps({"task": "t", "content": "text", **body}).encode(), known)
