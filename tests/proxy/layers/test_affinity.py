"""What a call is recognised by."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sidecar.config.model import Balance, Sticky, Trust
from sidecar.http.fields import Fields
from sidecar.http.headers import REQUEST_FIELDS
from sidecar.http.message import RequestHead
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.layers.affinity import affinity, client_of, sticky_point
from sidecar.proxy.request import Request


class Downstream:
    def __init__(self, peer: str, forwarded: bool) -> None:
        self.peer = peer
        self.trust = Trust(forwarded_for=forwarded)


def call(
    peer: str = "10.0.0.1", *, forwarded: bool = False, body: bytes = b"", **fields: bytes
) -> Call:
    head = RequestHead()
    lines = [b"\r\n%b: %b" % (n.replace("_", "-").encode(), v) for n, v in fields.items()]
    head.fields = Fields(b"".join(lines), REQUEST_FIELDS)
    downstream = cast("Any", Downstream(peer, forwarded))
    return Call(downstream, head, RequestBody(downstream, BodyMemory(2**30, 1.0), body))


@pytest.mark.parametrize(
    ("trusted", "seen", "client"),
    [
        (False, b"1.1.1.1", "10.0.0.1"),
        (True, b"1.1.1.1", "1.1.1.1"),
        (True, b"6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (True, b"6.6.6.6 ,  ", "10.0.0.1"),
        (True, b"", "10.0.0.1"),
    ],
)
def test_the_client(trusted: bool, seen: bytes, client: str) -> None:
    assert client_of(call(forwarded=trusted, x_forwarded_for=seen)) == client


def test_methods_that_hash_nothing_have_no_key() -> None:
    for method in ("round_robin", "least_conn", "dynamic"):
        assert affinity(Balance(method=cast("Any", method))) is None


def key(balance: Balance, of: Call) -> int:
    make = affinity(balance)
    assert make is not None
    return make(of, Request(b"POST", b"/", of.body, model=of.model))


def test_a_client_keeps_its_key() -> None:
    by_client = Balance(method="ip_hash")
    assert key(by_client, call("10.0.0.1")) == key(by_client, call("10.0.0.1", x_user=b"b"))
    assert key(by_client, call("10.0.0.1")) != key(by_client, call("10.0.0.2"))


def test_a_header_is_the_key_where_it_is_there() -> None:
    by_user = Balance(method="ip_hash", hash_on="header", name="X-User")
    assert key(by_user, call("10.0.0.1", x_user=b"a")) == key(
        by_user, call("10.0.0.2", x_user=b"a")
    )
    assert key(by_user, call("10.0.0.1", x_user=b"a")) != key(
        by_user, call("10.0.0.1", x_user=b"b")
    )
    assert key(by_user, call("10.0.0.1")) == key(Balance(method="ip_hash"), call("10.0.0.1"))


@pytest.mark.parametrize("cookie", [b"s=1", b"a=0; s=1", b"s=1;b=2", b" s=1 ; s2=3"])
def test_a_cookie_is_found_among_others(cookie: bytes) -> None:
    by_session = Balance(method="ip_hash", hash_on="cookie", name="s")
    assert key(by_session, call("a", cookie=cookie)) == key(by_session, call("b", cookie=b"s=1"))
    assert key(by_session, call("a", cookie=cookie)) != key(by_session, call("a", cookie=b"s=2"))


def test_a_conversation_keeps_its_key_and_a_model_has_its_own() -> None:
    by_prompt = Balance(method="prefix")
    first = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}'
    turns = [first + rest for rest in (b"]}", b', {"role": "assistant", "content": "hi"}]}')]
    keys = {key(by_prompt, call(str(n), body=body)) for n, body in enumerate(turns)}
    assert len(keys) == 1
    other = call("0", body=turns[0])
    other.model = "n"
    assert key(by_prompt, other) not in keys


def test_a_body_without_a_prompt_goes_by_its_client() -> None:
    by_prompt = Balance(method="prefix")
    assert key(by_prompt, call("a", body=b"[]")) == key(by_prompt, call("a", body=b"{}"))
    assert key(by_prompt, call("a", body=b"[]")) != key(by_prompt, call("b", body=b"[]"))


def test_sticky_points_are_shares() -> None:
    point = sticky_point(Sticky(by="header", name="x-user"))
    points = [point(call(x_user=b"%d" % n)) for n in range(1000)]
    assert all(0 <= p < 1 for p in points)
    assert 400 < sum(p < 0.5 for p in points) < 600
    assert point(call("a", x_user=b"7")) == point(call("b", x_user=b"7"))
