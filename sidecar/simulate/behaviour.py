"""What a simulated endpoint is like: how fast, how wide, how broken.

The text form is what the command line and `POST /_simulate` take:
`latency=lognormal:250ms:0.6,tokens_per_second=50,error=500:5%,reset=1%,seed=7`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final

from sidecar.simulate.latency import FORMS, Latency
from sidecar.simulate.units import format_duration, parse_duration, parse_share

MAX_TOKENS: Final = 4096
"""The longest reply, whatever a caller asks for."""

MIDWAY: Final = ("truncate", "reset_midway", "stall", "slow_bytes")
"""Faults of a reply whose head has been sent."""

_SHARES: Final = ("reset", "hang", *MIDWAY, "late", "error_first", "empty")


def _parse_error(text: str) -> tuple[int, float]:
    status, _, share = text.partition(":")
    if not status.isascii() or not status.isdigit():
        raise ValueError(f"expected STATUS:PROBABILITY like 500:5%, not {text!r}")
    return int(status), parse_share(share)


def _parse_window(text: str) -> tuple[float, float]:
    start, _, end = text.partition(":")
    return parse_duration(start), parse_duration(end)


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, not {text!r}") from None


def _parse_flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"expected yes or no, not {text!r}")
    return text == "yes"


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"expected a whole number, not {text!r}")
    return int(text)


def _setting(
    default: Any,
    parse: Callable[[str], Any],
    about: str,
    show: Callable[[Any], str] = str,
) -> Any:
    return field(default=default, metadata={"parse": parse, "about": about, "show": show})


def _share(about: str) -> Any:
    return _setting(0.0, parse_share, about, repr)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One endpoint's settings; durations are seconds, failures are probabilities per call.

    A call meets one failure at most, so their probabilities add up to 1 or less.
    """

    latency: Latency = _setting(
        Latency(),
        Latency.parse,
        f"time to the first token: {FORMS}",
    )
    tokens_per_second: float = _setting(
        0.0, _parse_number, "speed of the tokens after the first; 0: at once", repr
    )
    jitter: float = _setting(
        0.0, parse_share, "how far a gap between tokens strays from the mean, 0 to 1", repr
    )
    tokens: int = _setting(16, _parse_count, "length of a reply when the caller sets no maximum")
    slots: int = _setting(
        0, _parse_count, "calls generated at once; more wait in a queue, so latency grows; 0: any"
    )
    error: tuple[tuple[int, float], ...] = _setting(
        (),
        _parse_error,
        "STATUS:PROBABILITY of an error reply; may be given again",
        lambda e: f"{e[0]}:{e[1]!r}",
    )
    retry_after: float = _setting(
        1.0, parse_duration, "what a 429, 503 or 529 asks callers to wait", format_duration
    )
    reset: float = _share("connection reset (RST) before the head")
    hang: float = _share("the call is taken and never answered")
    truncate: float = _share("connection closed (FIN) in the middle of the body")
    reset_midway: float = _share("connection reset (RST) in the middle of the body")
    stall: float = _share("the body stops in the middle, the connection stays open")
    slow_bytes: float = _share("the body comes a byte at a time, 10 ms apart")
    head_first: bool = _setting(
        False, _parse_flag, "yes: a stream's head is sent at once, and its first token later",
        lambda flag: "yes" if flag else "no",
    )  # fmt: skip
    late: float = _share("the first token comes `late_by` later")
    late_by: float = _setting(5.0, parse_duration, "how much later", format_duration)
    error_first: float = _share("status 200, and then an error instead of an answer")
    empty: float = _share("status 200, and then nothing")
    down: tuple[tuple[float, float], ...] = _setting(
        (),
        _parse_window,
        "FROM:UNTIL since the start, connections refused and open ones cut; may be given again",
        lambda w: ":".join(map(format_duration, w)),
    )
    model: str = _setting("simulated", str, "the model that it lists and labels its load with")
    seed: int = _setting(0, _parse_count, "the same seed gives the same sequence of draws")

    def __post_init__(self) -> None:
        shares = [getattr(self, name) for name in _SHARES] + [share for _, share in self.error]
        if not all(0 <= share <= 1 for share in (*shares, self.jitter)):
            raise ValueError("probabilities and jitter lie between 0 and 1")
        if sum(shares) > 1 + 1e-9:
            raise ValueError("the probabilities of all failures add up to more than 1")
        if not all(400 <= status <= 599 for status, _ in self.error):
            raise ValueError("an error's status lies between 400 and 599")
        if not 1 <= self.tokens <= MAX_TOKENS:
            raise ValueError(f"tokens lies between 1 and {MAX_TOKENS}")
        if not 0 <= self.tokens_per_second <= 1e6:
            raise ValueError("tokens_per_second lies between 0 and 1000000")
        edges = [edge for window in self.down for edge in window]
        if any(later <= earlier for earlier, later in pairwise(edges)):
            raise ValueError("down is FROM:UNTIL, the earlier first, and so are several of them")
        if not self.model or "," in self.model or self.model != self.model.strip():
            raise ValueError("model is a name without commas")

    def faults(self) -> list[tuple[str, float]]:
        """Each failure's name (a status, or a setting of this class) with its probability."""
        statuses = [(str(status), share) for status, share in self.error]
        return statuses + [(name, getattr(self, name)) for name in _SHARES]

    @classmethod
    def parse(cls, text: str) -> Behaviour:
        """Read the compact form; raise ValueError that names the setting and what it takes."""
        values: dict[str, Any] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = item.partition("=")
            setting = _SETTINGS.get(name)
            if setting is None or not equals:
                raise ValueError(f"unknown setting {item!r}{_suggestion(name)}")
            try:
                parsed = setting.metadata["parse"](value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if setting.default == ():
                parsed = (*values.get(name, ()), parsed)
            elif name in values:
                raise ValueError(f"{name} is given twice")
            values[name] = parsed
        return cls(**values)

    def __str__(self) -> str:
        parts = []
        for name, setting in _SETTINGS.items():
            value = getattr(self, name)
            if value != setting.default:
                many = value if setting.default == () else (value,)
                parts += [f"{name}={setting.metadata['show'](one)}" for one in many]
        return ",".join(parts)


_SETTINGS: Final = {setting.name: setting for setting in fields(Behaviour)}


def describe_settings() -> str:
    """A line for each setting, for `--help`."""
    return "\n".join(f"  {name:18} {s.metadata['about']}" for name, s in _SETTINGS.items())


def _suggestion(name: str) -> str:
    close = get_close_matches(name, _SETTINGS, n=1)
    return f"; did you mean {close[0]}?" if close else f"; one of {', '.join(_SETTINGS)}"
