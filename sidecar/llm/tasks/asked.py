"""What a call for a task asks for, or which field of it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.llm.tasks.formats import Format
from sidecar.llm.tasks.task import Length, Task

_decode: Final = msgspec.json.Decoder().decode
_MEMBERS: Final = ("task", "content", "length", "format", "inputs", "stream")
_SHOWN: Final = 64


class BadField(Exception):
    """The call can't be served as it is: *field* is wrong."""

    def __init__(self, field: str | None, message: str) -> None:
        """*field* None: the body as a whole."""
        super().__init__(message)
        self.field = field
        self.message = message


class Asked(NamedTuple):
    """A call for a task."""

    task: Task
    content: str
    inputs: Mapping[str, str]
    length: Length
    format: Format
    stream: bool

    @property
    def max_tokens(self) -> int:
        """The most tokens of the answer."""
        return self.task.lengths[self.length]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.content.encode())


def asked_of(body: bytes, tasks: Mapping[str, Task]) -> Asked:
    """Read the body of `POST /v1/tasks`. Raise BadField."""
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadField(None, "the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise BadField(None, "the body must be a JSON object")
    for name in found:
        if name not in _MEMBERS:
            raise BadField(name[:_SHOWN], f"unknown; a task has {', '.join(_MEMBERS)}")
    task = named(found.get("task"), "task", tasks)
    content = found.get("content")
    if not isinstance(content, str) or not content.strip():
        raise BadField("content", "must be a string that is not empty")
    stream = found.get("stream")
    if not isinstance(stream, bool | None):
        raise BadField("stream", "must be true or false")
    return Asked(
        task,
        content,
        _inputs(found.get("inputs"), task),
        length_of(found.get("length"), "length", task),
        named(_or(found.get("format"), task.format), "format", task.formats),
        bool(stream),
    )


def length_of(value: object, field: str, task: Task) -> Length:
    """Return the length that *value* names, or the task's own. Raise BadField."""
    wanted = _or(value, task.length)
    named(wanted, field, task.lengths)
    return next(length for length in task.lengths if length == wanted)


def named(value: object, field: str, known: Mapping[Any, Any]) -> Any:
    """Return what *value* names among *known*. Raise BadField."""
    if not isinstance(value, str) or value not in known:
        raise BadField(field, f"must be one of {', '.join(known)}")
    return known[value]


def _or(value: object, usual: str) -> object:
    return usual if value is None else value


def _inputs(value: object, task: Task) -> Mapping[str, str]:
    given: object = {} if value is None else value
    if not isinstance(given, dict):
        raise BadField("inputs", "must be an object")
    for name in given:
        if name not in task.inputs:
            known = ", ".join(task.inputs) or "none"
            raise BadField(f"inputs.{name[:_SHOWN]}", f"unknown; the task's inputs: {known}")
    for name in task.inputs:
        if not isinstance(given.get(name), str):
            raise BadField(f"inputs.{name}", "must be a string")
    return given
