"""What trusted headers make of a call; tests/sockets/test_trusted.py has what comes of it."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from sidecar.errors import BadOverride
from sidecar.observe.trace import receive
from sidecar.policy.timeouts import Timers
from sidecar.proxy.request import Request
from sidecar.proxy.routing.overrides import apply_overrides
from sidecar.proxy.routing.router import Route
from tests.proxy.routing.test_limiters import call

OWN = Timers(1.0, 2.0, 3.0, 4.0)
OTHER = Timers(5.0, 6.0, 7.0, 8.0)


class AnyRoute:
    """A route, and what it is under the policy `other`."""

    def __init__(self, timers: Timers = OWN) -> None:
        self.timers = timers

    def under(self, name: str) -> AnyRoute | None:
        return AnyRoute(OTHER) if name == "other" else None


def told(**fields: bytes) -> tuple[Request, Route]:
    """What is asked by a call with these headers, once it has been obeyed, and its route then."""
    of = call("a", **{f"x_sidecar_{name}": value for name, value in fields.items()})
    of.trace = receive((), (), random.getrandbits)
    route, request = apply_overrides(of, cast("Any", AnyRoute()), Request(b"POST", b"/", of.body))
    return request, route


def test_nothing_said_changes_nothing() -> None:
    of, route = told()
    assert (of.timers, of.retries, of.labels, of.priority) == (None, None, None, 1)
    assert route.timers == OWN


@pytest.mark.parametrize(
    ("fields", "timers"),
    [
        ({"timeout": b"9s"}, OWN._replace(total=9.0)),
        ({"first_byte_timeout": b"90ms"}, OWN._replace(first_byte=0.09)),
        ({"idle_timeout": b"1m"}, OWN._replace(idle=60.0)),
        ({"timeout": b"9s", "idle_timeout": b"1s"}, OWN._replace(total=9.0, idle=1.0)),
        ({"timeout": b"9s", "policy": b"other"}, OTHER._replace(total=9.0)),
    ],
)
def test_timers_add_up(fields: dict[str, bytes], timers: Timers) -> None:
    assert told(**fields)[0].timers == timers


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (b"version=v2", {"version": "v2"}),
        (b"version=v2, gpu=h100", {"version": "v2", "gpu": "h100"}),
        (b"note=a=b", {"note": "a=b"}),
        (b"version=", {"version": ""}),
    ],
)
def test_labels(text: bytes, labels: dict[str, str]) -> None:
    assert told(labels=text)[0].labels == labels


@pytest.mark.parametrize(("text", "priority"), [(b"high", 0), (b"normal", 1), (b"low", 2)])
def test_priority(text: bytes, priority: int) -> None:
    assert told(priority=text)[0].priority == priority


@pytest.mark.parametrize("count", [0, 10])
def test_retries(count: int) -> None:
    assert told(retries=b"%d" % count)[0].retries == count


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels", b""),
        ("labels", b"=v2"),
        ("labels", b"a=b,"),
        ("labels", b",".join(b"l%d=1" % n for n in range(17))),
        ("retries", b"\xb2"),
        ("retries", b""),
        ("timeout", b"-1s"),
        ("timeout", b"\xff"),
        ("trace", b""),
    ],
)
def test_what_makes_no_sense_names_its_header(name: str, text: bytes) -> None:
    with pytest.raises(BadOverride, match=f"x-sidecar-{name}: "):
        told(**{name: text})
