"""A task as it is configured, and which model a content of it goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from sidecar.llm.dialects.base import Dialect
from sidecar.llm.shape.fields import ChatField
from sidecar.llm.tasks.formats import Format
from sidecar.policy.template import Template

Length = Literal["short", "medium", "long"]


class Choice(NamedTuple):
    """Where a task goes: a model behind a route."""

    route: str
    dialect: Dialect
    model: str
    path: str
    """What is asked at the upstream; `{model}` has been put in."""
    labels: Mapping[str, str]
    up_to: int | None
    """Bytes of the largest content; None: any."""
    include_usage: bool
    """Whether the upstream takes `stream_options.include_usage`."""


class Task(NamedTuple):
    """A task."""

    name: str
    description: str
    choices: tuple[Choice, ...]
    """By size of the content; the first that is large enough is taken. The last takes any."""
    system: Template | None
    user: Template
    inputs: Mapping[str, str]
    """What callers give besides the content: names, and what they mean."""
    lengths: Mapping[Length, int]
    """The most tokens of an answer."""
    length: Length
    """Where the caller does not say."""
    formats: Mapping[str, Format]
    """Those that callers may ask for."""
    format: str
    """Where the caller does not say."""
    temperature: float | None
    chat_field: ChatField
    repair: bool
    """Whether an answer that is not in its format is asked for once more."""

    def choice(self, size: int) -> Choice:
        """Return where a content of *size* bytes goes."""
        return next(each for each in self.choices if each.up_to is None or size <= each.up_to)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of a request for this task."""
        properties: dict[str, Any] = {
            "task": {"const": self.name},
            "content": {"type": "string", "minLength": 1},
            "length": {"enum": list(self.lengths), "default": self.length},
            "format": {"enum": list(self.formats), "default": self.format},
            "stream": {"type": "boolean", "default": False},
        }
        required = ["task", "content"]
        if self.inputs:
            each = {
                name: {"type": "string", "description": is_} for name, is_ in self.inputs.items()
            }
            properties["inputs"] = {
                "type": "object",
                "properties": each,
                "required": list(each),
                "additionalProperties": False,
            }
            required.append("inputs")
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
