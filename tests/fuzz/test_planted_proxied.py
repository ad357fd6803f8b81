"""The oracles of the fuzzer of a forward proxy: each finds the fault that is planted for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.http.sniff import Protocol, Sniffed, sniff
from sidecar.listen.intercept import forward, interceptor
from sidecar.proxy.exchange import wire
from tests.fuzz import fuzz_proxied, world
from tests.fuzz.cases import Case, Fault
from tests.fuzz.fuzz_proxied import ProxyFuzzer
from tests.fuzz.planting import found
from tests.http.test_client_hello import real_hello

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def impatient(monkeypatch: Patch) -> None:
    """What never happens need not be waited for."""
    monkeypatch.setattr(world, "PATIENCE", 0.2)


ROUTED = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def connects(data: bytes, form: str = "connect") -> Case:
    return Case(data, {"form": form})


@pytest.mark.parametrize("form", ["connect", "early"])
@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"SSH-2.0-x\r\n", "far"),
        (GET, "far"),
        (ROUTED, "upstream"),
        (ROUTED + b"x", "upstream"),
        (real_hello("a.example", ["http/1.1"]), "tls"),
        (real_hello("b.example", ["http/1.1"]), "far"),
        (b"", "far"),
    ],
)
async def test_all_is_well_with_a_proxy(data: bytes, where: str, form: str) -> None:
    async with ProxyFuzzer() as fuzzer:
        outcome: Any = await fuzzer.check(connects(data, form))
        assert outcome[0].where == (where if data else "")
        await fuzzer.audit()


@pytest.mark.parametrize(
    ("data", "where"), [(b"Host: x\r\n\r\nbody", "far"), (b"A : b\r\n\r\n", ""), (b"A: b", "")]
)
async def test_all_is_well_with_urls(data: bytes, where: str) -> None:
    async with ProxyFuzzer() as fuzzer:
        outcome: Any = await fuzzer.check(connects(data, "url"))
        assert outcome[0].where == where


async def test_a_tunnel_that_loses_bytes(monkeypatch: Patch) -> None:
    right = fuzz_proxied.Far.data_received
    monkeypatch.setattr(fuzz_proxied.Far, "data_received", lambda far, data: right(far, data[1:]))
    async with found(ProxyFuzzer(), "a tunnel changes what passes through it") as fuzzer:
        await fuzzer.check(connects(b"SSH-2.0-x\r\n"))


async def test_a_tunnel_that_brings_back_something_else(monkeypatch: Patch) -> None:
    monkeypatch.setattr(fuzz_proxied.Far, "send", lambda far, data: far.transport.write(b"else"))
    async with found(ProxyFuzzer(), "a tunnel changes what comes back") as fuzzer:
        await fuzzer.check(connects(b"SSH-2.0-x\r\n"))


async def test_first_bytes_that_are_judged_too_soon(monkeypatch: Patch) -> None:
    other = Sniffed(Protocol.OTHER)
    monkeypatch.setattr(interceptor, "sniff", lambda data: sniff(data) if len(data) > 9 else other)
    kind = "segmentation changes where a connection goes"
    async with found(ProxyFuzzer(), kind) as fuzzer:
        await fuzzer.check(connects(ROUTED))


async def test_a_url_whose_head_is_not_strict(monkeypatch: Patch) -> None:
    planted = b"GET / HTTP/1.1\r\nA : b\r\n\r\n"
    monkeypatch.setattr(forward, "passed_on_head", lambda head: planted)
    async with found(ProxyFuzzer(), "what is passed on is no strict head") as fuzzer:
        await fuzzer.check(connects(b"Host: x\r\n\r\n", "url"))


async def test_a_call_of_an_intercepted_host_that_is_not_strict(monkeypatch: Patch) -> None:
    right = wire._lines
    monkeypatch.setattr(wire, "_lines", lambda *of: right(*of) + b"\r\nA : b")
    async with found(ProxyFuzzer(), "what is forwarded is no strict HTTP") as fuzzer:
        await fuzzer.check(connects(ROUTED))


async def test_tls_that_is_not_answered(monkeypatch: Patch) -> None:
    async def closes(gate: Any, sock: Any, *_: object) -> None:
        gate.close(sock)

    monkeypatch.setattr(interceptor.Interceptor, "_terminate", closes)
    with pytest.raises(Fault, match="TLS is not answered"):
        await ProxyFuzzer().__aenter__()


async def test_a_connect_that_is_not_answered(monkeypatch: Patch) -> None:
    async def waits(gate: Any, sock: Any, *_: object) -> None:
        await asyncio.sleep(0.3)
        gate.close(sock)

    async with found(ProxyFuzzer(), "CONNECT is not answered") as fuzzer:
        monkeypatch.setattr(forward.Forward, "_do", waits)
        await fuzzer.check(connects(ROUTED))
