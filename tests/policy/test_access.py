"""Whose key it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.access import FAILURES, Access


def digest(key: bytes) -> str:
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


@given(st.dictionaries(st.binary(min_size=1), st.text(min_size=1), min_size=1), st.binary())
def test_each_key_is_its_callers_and_no_other_is(keys: dict[bytes, str], other: bytes) -> None:
    callers: dict[str, list[str]] = {}
    for key, name in keys.items():
        callers.setdefault(name, []).append(digest(key))
    access = access_of(callers)
    assert {key: access.caller(key) for key in keys} == keys
    assert access.caller(other) == keys.get(other)


def access_of(callers: Mapping[str, Iterable[str]]) -> Access:
    access = Access()
    access.configure(callers)
    return access


def test_a_reload_takes_keys_away() -> None:
    access = access_of({"a": [digest(b"old"), digest(b"new")]})
    access.configure({"a": [digest(b"new")]})
    assert access.caller(b"old") is None
    assert access.caller(b"new") == "a"
    assert access.caller(b"") is None


def test_failures_of_an_address_are_limited_and_forgiven() -> None:
    access = access_of({})
    assert [access.failed("a", 100.0) for _ in range(FAILURES)] == [0.0] * FAILURES
    wait = access.failed("a", 100.0)
    assert wait > 0
    assert access.failed("b", 100.0) == 0
    assert access.failed("a", 100.0 + wait) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix", "unix", True),
    ],
)
def test_failures_are_those_of_a_host_however_many_addresses_it_has(
    one: str, other: str, same: bool
) -> None:
    access = access_of({})
    for _ in range(FAILURES):
        access.failed(one, 100.0)
    assert (access.failed(other, 100.0) > 0) is same
