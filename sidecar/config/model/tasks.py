"""Tasks: what applications want done, by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Section
from sidecar.config.model.units import Size
from sidecar.llm.shape.fields import ChatField
from sidecar.llm.tasks.task import Length

_Tokens = Annotated[int, Meta(ge=1, le=1_000_000)]
_Prompt = Annotated[str, Meta(min_length=1, max_length=100_000)]
FormatName = Literal["text", "bullet_points", "json", "schema"]


class TaskModel(Section, frozen=True):
    """A model, and the contents that go to it."""

    model: Annotated[str, Meta(description="What the upstream is asked for as `model`.")]
    up_to: Annotated[
        Size | None,
        Meta(
            description="The largest content, in UTF-8, that goes to it. `null`: any; so has the "
            "last one of a task, and only that."
        ),
    ] = None
    route: Annotated[
        str | None,
        Meta(description="Name of the route that carries it. `null`: the task's `route`."),
    ] = None
    path: Annotated[
        str | None,
        Meta(
            description="Path of the chat at the upstream, below the endpoint's URL; `{model}` is "
            "the model. `null`: the usual one of its API."
        ),
    ] = None
    labels: Annotated[
        dict[Name, str],
        Meta(max_length=16, description="Labels that endpoints must have, besides the route's."),
    ] = {}


class Lengths(Section, frozen=True):
    """How many tokens an answer may have."""

    short: Annotated[_Tokens, Meta(description="Tokens of a short answer at most.")] = 64
    medium: Annotated[_Tokens, Meta(description="Tokens of a medium one.")] = 128
    long: Annotated[_Tokens, Meta(description="Tokens of a long one.")] = 512


class Task(Section, frozen=True):
    """What `POST /v1/tasks` and the header `x-llm-task` name."""

    route: Annotated[
        str,
        Meta(
            description="Name of the route whose upstream, policy and fallbacks carry it. Its "
            "`match` does not matter."
        ),
    ]
    models: Annotated[
        tuple[TaskModel, ...],
        Meta(min_length=1, max_length=16, description="By size of the content, smallest first."),
    ]
    description: Annotated[str, Meta(max_length=1000, description="For people.")] = ""
    system: Annotated[
        _Prompt | None, Meta(description="The system prompt. `null`: only the format's.")
    ] = None
    user: Annotated[
        _Prompt,
        Meta(
            description="The user's message. `{content}` is what the caller sent, `{NAME}` one of "
            "`inputs`, also in `system`; `{{` and `}}` are braces."
        ),
    ] = "{content}"
    inputs: Annotated[
        dict[Name, str],
        Meta(max_length=32, description="What callers must give besides: name and meaning."),
    ] = {}
    length: Annotated[
        Length, Meta(description="How long an answer may be where the caller does not say.")
    ] = "medium"
    lengths: Annotated[Lengths, Meta(description="What the lengths mean.")] = Lengths()
    format: Annotated[
        FormatName, Meta(description="The answer's format where the caller does not say.")
    ] = "text"
    schema: Annotated[
        dict[str, Any] | None,
        Meta(description="A JSON schema, draft 2020-12, for the format `schema`. `null`: none."),
    ] = None
    instructions: Annotated[
        dict[FormatName, _Prompt],
        Meta(description="What the model is told of a format, instead of the usual."),
    ] = {}
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="`null`: as the model has it."),
    ] = None
    chat_field: Annotated[
        ChatField,
        Meta(description="What OpenAI's chat calls the bound; `max_tokens` on older servers."),
    ] = "max_completion_tokens"
    repair: Annotated[
        bool,
        Meta(description="Ask once more for an answer that is not in its format."),
    ] = True
