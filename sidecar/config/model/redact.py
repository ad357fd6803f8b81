"""What may not go upstream as it is."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Duration
from sidecar.llm.redact.rules import RULES, Finder, RuleName, own

Action = Literal["mask", "refuse"]


class Guard(Section, frozen=True):
    """A service of yours that is asked about each call before it goes upstream."""

    upstream: Annotated[str, Meta(description="The upstream that it is, by its name.")]
    path: Annotated[str, Meta(description="Where it is asked, with POST.")] = "/"
    deadline: Annotated[Duration, Meta(description="How long its answer may take.")] = Duration(
        "500ms"
    )
    when_away: Annotated[
        Literal["allow", "refuse"],
        Meta(
            description="What happens to a call without an answer in time: `allow` it, or `refuse` "
            "it with 503."
        ),
    ] = "refuse"


class Redact(Section, frozen=True):
    """Secrets and personal data in prompts. What can't be looked at is refused."""

    rules: Annotated[
        tuple[RuleName, ...],
        Meta(
            max_length=10,
            description="What is looked for: `keys` (of known vendors, tokens, private keys, "
            "passwords in URLs), `cards` with a valid check digit, `emails`, `phones` with a +.",
        ),
    ] = ("keys", "cards", "emails")
    patterns: Annotated[
        dict[str, str],
        Meta(
            max_length=50,
            description="Own regular expressions, by a name in capitals. A match has a bound "
            "(`{1,64}` instead of `+`), so that no text takes long.",
        ),
    ] = {}
    action: Annotated[
        Action,
        Meta(
            description="`mask` it with placeholders, which are restored in the reply, or `refuse` "
            "the call."
        ),
    ] = "mask"
    guard: Annotated[Guard | None, Meta(description="Asked about each call. `null`: none is.")] = (
        None
    )

    def finder(self) -> Finder:
        """Make what finds all that is looked for."""
        built_in = (rule for name in dict.fromkeys(self.rules) for rule in RULES[name])
        owned = (own(name, pattern) for name, pattern in self.patterns.items())
        return Finder((*built_in, *owned))
