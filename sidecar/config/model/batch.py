"""Calls for embeddings that travel together."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import DURATION_PATTERN, Duration, Size
from sidecar.llm.cache_key import KeySettings
from sidecar.policy.batching import BatchSettings

WINDOW_PATTERN: Final = f"^auto$|{DURATION_PATTERN}"
_USUAL: Final = Duration("5ms")


class Window(Duration):
    """Seconds that a call waits at most for others; `auto`: 5 ms, and only if some are expected."""

    __slots__ = ("auto",)

    auto: bool

    def __new__(cls, text: object) -> Window:
        """Parse *text*; raise ValueError with an example when it is neither."""
        auto = text == "auto"
        self = super().__new__(cls, _USUAL.written() if auto else text)
        assert isinstance(self, Window)
        self.auto = auto
        return self

    def written(self) -> str:
        """Text that parses to the same value."""
        return "auto" if self.auto else super().written()


class Batch(Section, frozen=True):
    """Calls for embeddings that come at nearly the same time become one upstream call."""

    window: Annotated[
        Window,
        Meta(
            description="How long a call waits for others, at most `50ms`. `auto`: at most 5 ms, "
            "and only while calls come so close together that another is expected, so that a "
            "lone call never waits."
        ),
    ] = Window("5ms")
    items: Annotated[
        int,
        Meta(ge=2, le=2048, description="Texts or lists of tokens in one upstream call."),
    ] = 100
    tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Tokens in one upstream call. Those of texts are estimated: four bytes "
            "are one.",
        ),
    ] = 100_000
    bytes: Annotated[Size, Meta(description="Bytes of all items in one upstream call.")] = Size(
        "1MiB"
    )
    reply: Annotated[
        Size,
        Meta(
            description="So much of a joint reply is kept. The callers of a longer one are asked "
            "for one by one."
        ),
    ] = Size("32MiB")
    headers: Annotated[
        tuple[str, ...],
        Meta(max_length=32, description="More headers whose values must be the same."),
    ] = ()
    empty: Annotated[
        Literal["pass", "refuse", "drop"],
        Meta(
            description="What is done about empty texts, which APIs refuse: their call goes alone, "
            "as it is (`pass`); it gets 400 `empty_input` (`refuse`); or they are left out of the "
            "call and its reply, and named in `x-sidecar-dropped` (`drop`)."
        ),
    ] = "pass"

    def settings(self) -> BatchSettings:
        """Make the bounds of one batch."""
        return BatchSettings(
            float(self.window), self.window.auto, self.items, self.tokens, int(self.bytes)
        )

    def key_settings(self) -> KeySettings:
        """Make what callers are compared by."""
        # A server may refuse all for the type that the first caller gives.
        headers = ("content-type", *self.headers)
        return KeySettings(headers=tuple(name.lower().encode() for name in headers))
