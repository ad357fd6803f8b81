"""Which rule each text of a configuration obeys. One table; the rules stand in `grammar`.

Works on the tree, so that texts are checked even when another part of the file does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from sidecar.config import grammar
from sidecar.config.model import Admin, Endpoint, Listener, Section
from sidecar.config.problems import Path, Problem, dotted
from sidecar.config.units import Size

Rule = Callable[[str], str | None]

_KEYS: Final = "(keys)"
MAX_LINE: Final = "1MiB"
MAX_HEADERS: Final = "16MiB"
MAX_HOLD: Final = "1GiB"


def _at_most(largest: str) -> Rule:
    def rule(text: str) -> str | None:
        try:
            return f"expected at most {largest}" if Size(text) > Size(largest) else None
        except ValueError:  # another error says so
            return None

    return rule


_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("listeners.*.address", grammar.address),
    ("listeners.*.path", grammar.socket_path),
    ("listeners.*.head_timeout", grammar.positive),
    ("listeners.*.keep_alive", grammar.positive),
    ("listeners.*.limits.request_line", grammar.positive),
    ("listeners.*.limits.request_line", _at_most(MAX_LINE)),
    ("listeners.*.limits.header", grammar.positive),
    ("listeners.*.limits.header", _at_most(MAX_LINE)),
    ("listeners.*.limits.headers", grammar.positive),
    ("listeners.*.limits.headers", _at_most(MAX_HEADERS)),
    ("upstreams.*.endpoints.*.url", grammar.url),
    ("upstreams.*.endpoints.*.dns", grammar.dns_url),
    ("upstreams.*.credentials.header", grammar.credential_header),
    ("upstreams.*.credentials.value", grammar.header_value),
    ("upstreams.*.tls.ca", grammar.file_path),
    ("upstreams.*.tls.cert", grammar.file_path),
    ("upstreams.*.tls.key", grammar.file_path),
    ("upstreams.*.tls.server_name", grammar.server_name),
    ("upstreams.*.pool.lifetime", grammar.positive),
    ("upstreams.*.pool.idle_timeout", grammar.positive),
    ("upstreams.*.dns_refresh", grammar.positive),
    ("routes.*.match.host", grammar.host_pattern),
    ("routes.*.match.path", grammar.path_prefix),
    ("routes.*.match.method", grammar.method),
    ("routes.*.match.model", grammar.pattern),
    ("routes.*.match.headers.(keys)", grammar.header_name),
    ("routes.*.match.headers.*", grammar.header_pattern),
    ("routes.*.rewrite", grammar.rewrite),
    ("policies.*.timeouts.*", grammar.positive),
    ("policies.*.hold", _at_most(MAX_HOLD)),
    ("access_log.path", grammar.file_path),
    ("admin.address", grammar.loopback),
    ("admin.health", grammar.address),
)


_ONE_OF: Final[tuple[tuple[str, type[Section], str, str], ...]] = (
    ("listeners.*", Listener, "address", "path"),
    ("upstreams.*.endpoints.*", Endpoint, "url", "dns"),
)
_NAMES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("routes.*.upstream", "upstreams", "no such upstream", ()),
    ("routes.*.policy", "policies", "no such policy", ("default",)),
)


def broken_rules(root: object) -> Iterator[Problem]:
    """What each part of *root* gets wrong by itself, and names of what is not there."""
    for steps, rule in _RULES:
        for path, text in _texts(root, steps):
            if wrong := rule(text):
                yield Problem(path, wrong)
    for steps, section, first, second in _ONE_OF:
        yield from _one_of(root, steps, section, (first, second))
    for steps, group, wrong, builtin in _NAMES:
        known = (*builtin, *(str(name) for name, _ in children(root, group)))
        there = frozenset(known)
        for path, name in _texts(root, steps):
            if name not in there:
                yield Problem(path, wrong, name, known)
    yield from _twice(_texts(root, "routes.*.name"))
    yield from _twice(_places(root))


def _one_of(
    root: object, steps: str, section: type[Section], keys: tuple[str, str]
) -> Iterator[Problem]:
    for path, value in select(root, steps):
        # An unknown key is probably one of the two, misspelt: that error is enough.
        if isinstance(value, dict) and value.keys() <= set(section.__struct_fields__):
            given = [key for key in keys if value.get(key) is not None]
            if len(given) != 1:
                yield Problem(path, f"expected exactly one of {', '.join(keys)}")


def _places(root: object) -> Iterator[tuple[Path, Hashable]]:
    """Where something listens; port 0 is another place each time."""
    if not list(select(root, "admin.address")):
        yield ("admin", "address"), grammar.parse_address(Admin().address or "")
    for steps in ("admin.address", "admin.health", "listeners.*.address"):
        for path, text in _texts(root, steps):
            address = grammar.parse_address(text)
            if address is not None and address.port:
                yield path, address
    yield from _texts(root, "listeners.*.path")


def _twice(places: Iterator[tuple[Path, Hashable]]) -> Iterator[Problem]:
    first: dict[Hashable, Path] = {}
    for path, place in places:
        if place in first:
            yield Problem(path, f"the same as {dotted(first[place])}")
        first.setdefault(place, path)


def _texts(root: object, steps: str) -> Iterator[tuple[Path, str]]:
    """All strings that *steps* lead to; what has another type is another error."""
    return ((path, value) for path, value in select(root, steps) if isinstance(value, str))


def select(root: object, steps: str) -> Iterator[tuple[Path, object]]:
    """All values in *root* that the dotted *steps* lead to; `*` stands for every item or key."""
    found: list[tuple[Path, object]] = [((), root)]
    for step in steps.split("."):
        found = [
            ((*path, key), item) for path, value in found for key, item in _children(value, step)
        ]
    yield from found


def children(root: object, key: str) -> Iterator[tuple[str | int, object]]:
    """The items or entries of what stands under *key*."""
    return ((path[1], value) for path, value in select(root, f"{key}.*"))


def _children(value: object, step: str) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, list):
        return enumerate(value) if step == "*" else ()
    if not isinstance(value, dict):
        return ()
    if step == "*":
        return value.items()
    if step == _KEYS:
        return [(key, key) for key in value]
    return [(step, value[step])] if step in value else ()
