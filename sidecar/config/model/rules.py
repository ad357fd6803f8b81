"""Answers without a model."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.check.regex import LINEAR, slow
from sidecar.config.model.base import Name, Section
from sidecar.policy.rules import LONG, SHORT, RuleSettings, Search, glob, normal
from sidecar.policy.rules import Refusal as RefusalSettings
from sidecar.policy.template import Template

Patterns = Annotated[tuple[str, ...], Meta(max_length=1000)]
Text = Annotated[str, Meta(min_length=1, max_length=20_000)]


class Refusal(Section, frozen=True):
    """An error that callers get, in the form of their API."""

    message: Annotated[Text, Meta(description="Why, in a sentence for people.")]
    status: Annotated[
        Literal[400, 403, 404, 422, 451],
        Meta(description="The status; one that no SDK tries again."),
    ] = 403


class Rule(Section, frozen=True):
    """Answers the user's last message, or refuses it, without a model.

    A rule has `exact`, `glob` or `regex`, and `answer` or `refuse`. A message with an image or
    something else than text in it is refused, but not answered.
    """

    name: Annotated[Name, Meta(description="For metrics and the header `x-sidecar-rule`.")]
    exact: Annotated[
        Patterns,
        Meta(description="Whole messages. White space at the ends and letter case don't matter."),
    ] = ()
    glob: Annotated[
        Patterns,
        Meta(description="Globs (`*` and `?`) for whole messages, in the same way."),
    ] = ()
    regex: Annotated[
        Patterns,
        Meta(
            description="Regular expressions (Python's) to search for: in the first 65,536 "
            "characters if that takes linear time, else in the first 1,000. One that could take "
            "longer is an error."
        ),
    ] = ()
    answer: Annotated[
        Text | None,
        Meta(
            description="The answer. `{1}` and `{name}` are what groups of `regex` captured, `{0}` "
            "is all that it matched; `{{` and `}}` are braces."
        ),
    ] = None
    refuse: Annotated[Refusal | None, Meta(description="Refuse the call instead.")] = None

    def settings(self) -> RuleSettings:
        """Make what messages are judged by."""
        refusal = self.refuse
        return RuleSettings(
            self.name,
            frozenset(map(normal, self.exact)),
            tuple(map(glob, self.glob)),
            tuple(
                Search(re.compile(text), SHORT if slow(text, LINEAR) else LONG)
                for text in self.regex
            ),
            None if self.answer is None else Template(self.answer),
            None if refusal is None else RefusalSettings(refusal.status, refusal.message),
        )
