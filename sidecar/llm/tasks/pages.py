"""What is told about the tasks: their list, and their description in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.llm.tasks.task import Task

_encode: Final = msgspec.json.Encoder().encode
_JSON: Final = "application/json"
_REPLY: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": ["string", "null"], "description": "The reply's id at the provider."},
        "object": {"const": "task"},
        "task": {"type": "string"},
        "format": {"type": "string"},
        "length": {"type": "string"},
        "output": {
            "description": "The answer: a string, or for the formats json and schema the value."
        },
        "valid": {"type": "boolean", "description": "Whether it is in its format. In streams only "
                  "it can be false."},
        "repaired": {"type": "boolean", "description": "Whether the model was asked twice."},
        "model": {"type": ["string", "null"]},
        "finish_reason": {"type": ["string", "null"]},
        "usage": {
            "type": ["object", "null"],
            "properties": {
                "input_tokens": {"type": "integer"},
                "output_tokens": {"type": "integer"},
            },
        },
    },
}  # fmt: skip
_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {
                    "type": ["string", "null"],
                    "description": "The field of the request that is wrong.",
                },
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def listing(tasks: Mapping[str, Task]) -> bytes:
    """Return the reply to `GET /v1/tasks`."""
    return _encode({"object": "list", "data": [_entry(task) for task in tasks.values()]})


def _entry(task: Task) -> dict[str, Any]:
    return {
        "id": task.name,
        "object": "task",
        "description": task.description,
        "models": list(dict.fromkeys(choice.model for choice in task.choices)),
        "max_tokens": dict(task.lengths),
        "schema": task.schema(),
    }


def openapi(tasks: Mapping[str, Task], version: str) -> bytes:
    """Return the description of the tasks' API (OpenAPI 3.1). *version*: the sidecar's."""
    listed = {"type": "object", "properties": {"data": {"type": "array"}}}
    return _encode({
        "openapi": "3.1.0",
        "info": {"title": "Tasks", "version": version},
        "paths": {
            "/v1/tasks": {
                "get": {
                    "operationId": "listTasks",
                    "summary": "The tasks, each with the schema of its requests",
                    "responses": {"200": _said("The tasks", {_JSON: {"schema": listed}})},
                },
                "post": {
                    "operationId": "runTask",
                    "summary": "Have a task done",
                    "requestBody": {
                        "required": True,
                        "content": {
                            _JSON: {"schema": {"oneOf": [t.schema() for t in tasks.values()]}}
                        },
                    },
                    "responses": {
                        "200": _said("The answer, or its events", {
                            _JSON: {"schema": _REPLY},
                            "text/event-stream": {"schema": {"type": "string"}},
                        }),
                        "default": _said("An error", {_JSON: {"schema": _ERROR}}),
                    },
                },
            }
        },
    })  # fmt: skip


def _said(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}
