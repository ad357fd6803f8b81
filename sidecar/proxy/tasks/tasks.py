"""Which calls name a task, and what is asked for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar import __version__
from sidecar.errors import BadTask
from sidecar.llm.dialects import APIS
from sidecar.llm.last_message import last_message
from sidecar.llm.request import read
from sidecar.llm.shape.fields import Bounds
from sidecar.llm.shape.shape import ShapeSettings, in_json, shape
from sidecar.llm.splice import UNREADABLE
from sidecar.llm.tasks.asked import BadField, asked_of, length_of, named
from sidecar.llm.tasks.pages import listing, openapi
from sidecar.llm.tasks.prompts import conversation, lines, request_body, target
from sidecar.proxy.layers.readable import tell
from sidecar.proxy.local import LocalReply
from sidecar.proxy.request import Request
from sidecar.proxy.routing.router import Candidate
from sidecar.proxy.tasks.job import Job, Passed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.llm.dialects import Dialect, Operation
    from sidecar.llm.tasks.task import Choice, Task
    from sidecar.observe.stats import Stats
    from sidecar.proxy.call import Call
    from sidecar.proxy.routing.router import Route

PATH: Final = b"/v1/tasks"
NAME: Final = b"x-llm-task"
LENGTH: Final = b"x-llm-length"
_TOLD: Final = b"x-sidecar-task"
_CHATS: Final[Mapping[Dialect, tuple[Operation, ...]]] = {
    "openai": ("chat",),
    "mistral": ("chat",),
    "cohere": ("chat",),
    "anthropic": ("messages",),
    "gemini": ("generateContent", "streamGenerateContent"),
}
_JSON: Final = b"\r\nContent-Type: application/json"


class Tasks:
    """The tasks of one configuration."""

    def __init__(
        self, tasks: Mapping[str, Task], routes: Mapping[str, Route], stats: Stats
    ) -> None:
        """*routes*: by name, at least those that the tasks name."""
        self._tasks = tasks
        self._routes = routes
        self._stats = stats
        self._pages = {
            PATH: listing(tasks),
            PATH + b"/openapi.json": openapi(tasks, __version__),
        }
        used = {choice.route for task in tasks.values() for choice in task.choices}
        self.candidates = tuple(
            Candidate(route, (), None, {}, None, True)
            for name, route in routes.items()
            if name in used
        )
        """The routes that a task may take."""

    def __repr__(self) -> str:
        return f"<Tasks {', '.join(self._tasks)}>"

    def take(self, call: Call) -> bool:
        """Whether *call* names a task, or asks about tasks."""
        if not call.downstream.direct:
            return False  # the path and the header are meant for another host
        return call.head.path in self._pages or NAME in call.head.fields

    def page(self, call: Call) -> LocalReply | None:
        """Return what *call* wants to know about tasks; None if it wants one done."""
        page = self._pages.get(call.head.path)
        if page is None or (call.head.method == b"POST" and call.head.path == PATH):
            return None
        if call.head.method not in (b"GET", b"HEAD"):
            error = BadTask("this page is read with GET", status=405)
            error.allow = b"GET, HEAD, POST" if call.head.path == PATH else b"GET, HEAD"
            raise error
        return LocalReply(call, 200, _JSON, page)

    def job(self, call: Call) -> Job | Passed:
        """Return what is to be done for a call whose body is here. Raise BadTask."""
        if not call.body.complete:
            raise BadTask("the body is longer than `hold` of the task's route", status=413)
        try:
            if call.unreadable is not None:
                raise BadField(None, "the body's content coding can't be read")
            if call.head.path == PATH:
                call.dialect = "openai"
                return self._own(call)
            return self._named(call)
        except BadField as bad:
            where = "" if bad.field is None else f"{bad.field}: "
            error = BadTask(where + bad.message)
            error.param = bad.field
            raise error from None

    def _own(self, call: Call) -> Job:
        """Return what `POST /v1/tasks` asks for."""
        asked = asked_of(call.body.plain(), self._tasks)
        choice = asked.task.choice(asked.size)
        system, turn = conversation(asked)
        body = request_body(asked, choice, system, (turn,))
        tell(call, _TOLD, asked.task.name.encode())
        how = f"{asked.task.name}, {asked.length}, {asked.format.name}"
        call.note("task", f"{how}: model {choice.model} by route {choice.route}")
        edits = {b"content-type": _JSON, b"accept-encoding": b"\r\nAccept-Encoding: identity"}
        path = target(choice, asked.stream)
        request = self._request(call, choice, path, body, edits, stream=asked.stream)
        route = self._routes[choice.route]
        return Job(asked, choice, system, turn, route, request, self._stats)

    def _named(self, call: Call) -> Passed:
        """Return what a call with the header `x-llm-task` asks for: its own chat, completed."""
        fields, body = call.head.fields, call.body.plain()
        field = NAME.decode()
        task: Task = named(fields[NAME].decode("latin-1").strip(), field, self._tasks)
        said = fields.get(LENGTH)
        text = None if said is None else said.decode("latin-1").strip()
        most = task.lengths[length_of(text, LENGTH.decode(), task)]
        message = last_message(body)
        choice = task.choice(len(body) if message is None else len(message.text.encode()))
        dialect = choice.dialect
        api = APIS[dialect].target(call.head.method, call.head.target.decode("latin-1"))
        if api.operation not in _CHATS[dialect]:
            raise BadField(field, f"its model is behind {dialect}'s API: call the chat of that")
        model = in_json(choice.model)
        settings = ShapeSettings(
            max_tokens=Bounds(most),
            chat_field="max_tokens" if dialect == "mistral" else task.chat_field,
            temperature=Bounds(task.temperature),
            strip=() if dialect == "gemini" else (("model",),),
            add=() if dialect == "gemini" else ((("model",), model),),
        )
        try:
            shaped = shape(body, dialect, api.operation, settings)
        except UNREADABLE:
            raise BadField(None, "the body is not a JSON object") from None
        told = [task.name, f"model={choice.model}"]
        names = ("max_tokens", "temperature")
        told += [f"{name}={shaped.changes[name]}" for name in names if name in shaped.changes]
        tell(call, _TOLD, "; ".join(told).encode("ascii", "replace"))
        call.note("task", f"{'; '.join(told)}, by route {choice.route}")
        path, query = target(choice, api.stream), call.head.target.partition(b"?")[1:]
        path = path.partition(b"?")[0] + b"".join(query)
        content = body if shaped.body is None else shaped.body
        request = self._request(call, choice, path, content, {}, stream=None)
        self._stats.tasks[task.name]["named"] += 1
        return Passed(self._routes[choice.route], request)

    def _request(
        self,
        call: Call,
        choice: Choice,
        path: bytes,
        content: bytes,
        edits: Mapping[bytes, bytes],
        *,
        stream: bool | None,
    ) -> Request:
        """Return the request. *stream* None: as the content says."""
        call.asked = read(content, b"application/json")
        call.model = choice.model
        call.stream = call.asked.stream if stream is None else stream
        call.body.count_copies(len(content))
        demanded = lines(choice.dialect, b"anthropic-version" in call.head.fields)
        return Request(
            b"POST",
            path,
            call.body,
            {**edits, **demanded, NAME: b"", LENGTH: b""},
            content,
            choice.model,
            call.stream,
            labels=choice.labels or None,
        )
