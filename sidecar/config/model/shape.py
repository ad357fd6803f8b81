"""How the body of a request is shaped before it goes upstream."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.llm.shape.context import Context, Over
from sidecar.llm.shape.fields import Bounds, ChatField
from sidecar.llm.shape.shape import ShapeSettings, in_json

_NEWER: Final = re.compile(r"https?://[^/@]*\.(?:openai|azure)\.com(?=[:/]|\Z)")
"""Servers whose newer models refuse `max_tokens`. Others may not know `max_completion_tokens`."""
_Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]

_Degree = Annotated[float, Meta(ge=0, le=2)]
_Part = Annotated[float, Meta(ge=0, le=1)]


class MaxTokens(Section, frozen=True):
    """How many tokens an answer may have, in the field that the API and the operation have."""

    default: Annotated[
        _Tokens | None, Meta(description="For calls that give no number. `null`: `cap`.")
    ] = None
    cap: Annotated[
        _Tokens | None,
        Meta(
            description="Larger, negative and unreadable numbers become this, and so does none. "
            "`null`: no cap."
        ),
    ] = None
    chat_field: Annotated[
        ChatField | Literal["auto"],
        Meta(
            description="The field that is added to OpenAI's chat. `auto`: `max_completion_tokens` "
            "at OpenAI and Azure, else `max_tokens`. A field that is there keeps its name."
        ),
    ] = "auto"


class Temperature(Section, frozen=True):
    """The `temperature` of calls."""

    default: Annotated[
        _Degree | None, Meta(description="For calls that give none. `null`: none.")
    ] = None
    min: Annotated[
        _Degree | None, Meta(description="Lower ones become this. `null`: none does.")
    ] = None
    max: Annotated[
        _Degree | None, Meta(description="Higher ones become this. `null`: none does.")
    ] = None

    def settings(self) -> Bounds:
        """Make what a temperature is brought within."""
        return Bounds(self.default, self.min, self.max)


class TopP(Section, frozen=True):
    """The `top_p` of calls."""

    default: Annotated[
        _Part | None, Meta(description="For calls that give none. `null`: none.")
    ] = None
    min: Annotated[_Part | None, Meta(description="Lower ones become this. `null`: none does.")] = (
        None
    )
    max: Annotated[
        _Part | None, Meta(description="Higher ones become this. `null`: none does.")
    ] = None

    def settings(self) -> Bounds:
        """Make what a `top_p` is brought within."""
        return Bounds(self.default, self.min, self.max)


class ContextCap(Section, frozen=True):
    """The largest prompt. Its tokens are estimated from its bytes, without a tokenizer."""

    tokens: Annotated[_Tokens, Meta(description="Estimated tokens that a prompt may have.")]
    over: Annotated[
        Over,
        Meta(
            description="What happens to a larger one: `refuse` it with the API's error, or `drop` "
            "the oldest turns, and refuse it if that does not help."
        ),
    ] = "refuse"


class Shape(Section, frozen=True):
    """What is changed in calls that generate text. The reply tells it in `x-sidecar-shaped`."""

    max_tokens: Annotated[
        MaxTokens | None, Meta(description="Bounds the answer. `null`: as the caller says.")
    ] = None
    temperature: Annotated[
        Temperature | None, Meta(description="Bounds it. `null`: as the caller says.")
    ] = None
    top_p: Annotated[TopP | None, Meta(description="Bounds it. `null`: as the caller says.")] = None
    strip: Annotated[
        tuple[str, ...],
        Meta(max_length=100, description="Members that are removed, as `user` or `metadata.id`."),
    ] = ()
    add: Annotated[
        dict[str, Any],
        Meta(
            max_length=100,
            description="Members that are added where they are missing, by the same names, with "
            "any value.",
        ),
    ] = {}
    context: Annotated[
        ContextCap | None, Meta(description="Bounds the prompt. `null`: it is not looked at.")
    ] = None
    trim_system: Annotated[
        bool,
        Meta(description="Take repeated sentences and runs of blank lines out of system prompts."),
    ] = False
    bytes_per_token: Annotated[
        float,
        Meta(ge=1, le=16, description="For all estimates: 4 suits English, 3 most languages."),
    ] = 4

    def settings(self, urls: Iterable[str]) -> ShapeSettings:
        """Make what a body is shaped by that goes to one of *urls*."""
        tokens, context = self.max_tokens, self.context
        chat_field: ChatField = "max_tokens"
        if any(map(_NEWER.match, urls)):
            chat_field = "max_completion_tokens"
        if tokens is not None and tokens.chat_field != "auto":
            chat_field = tokens.chat_field
        return ShapeSettings(
            None
            if tokens is None
            else Bounds(tokens.default, None, tokens.cap, required=tokens.cap is not None),
            chat_field,
            None if self.temperature is None else self.temperature.settings(),
            None if self.top_p is None else self.top_p.settings(),
            tuple(tuple(path.split(".")) for path in self.strip),
            tuple((tuple(path.split(".")), in_json(value)) for path, value in self.add.items()),
            None
            if context is None
            else Context(context.tokens, self.bytes_per_token, context.over),
            self.trim_system,
            self.bytes_per_token,
        )
