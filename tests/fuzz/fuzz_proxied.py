"""Connections to a forward proxy: first bytes behind CONNECT, and requests for whole URLs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Hashable, Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple, Self

from sidecar.http.sniff import sniff
from tests.fuzz import first_inputs
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.fuzz_requests import check_forwarded, reply_to
from tests.fuzz.mutate import bytewise, cut, mutated
from tests.fuzz.strict import NotStrict, Request, read_request
from tests.fuzz.world import End, World
from tests.http.test_client_hello import real_hello

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_SNIFF: Final = "200ms"
"""How long the sidecar waits for more of what may become TLS or HTTP: far longer than a case takes
to send, so that few cases may be such that it has to wait."""
_WAITING: Final = 0.02
"""Share of these that are tried."""
_PATIENCE: Final = 0.03
_LEAF: Final = 0.15
_MORE_PATIENCE: Final = 0.5
"""Seconds that it gets to do something with a connection, TLS included, and on a second look."""
_CONFIRMED: Final = 3
"""Differences in a row before one counts: it may not have waited for us on a busy machine."""
_BYTEWISE: Final = 100
_FORMS: Final = ("connect", "connect", "connect", "early", "url")
"""The client waits until it is connected, or not; or it asks for a URL."""
_GREETING: Final = b"hello from the server"
_PASSED_ON: Final = re.compile(
    rb"[A-Z]{1,20} /[!-\"$-~\x80-\xff]* HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
"""A head that an origin gets: nothing that ends a line otherwise, nothing that is no field."""


HOSTS: Final = ("a.example", "api.example")
"""Those that routes name. Inputs ask for them, and for others."""


class Went(NamedTuple):
    """Where a client's bytes went."""

    where: str
    """`far` (passed through), `upstream` (a call), `tls` (to ourselves), or nowhere."""
    far: bytes
    calls: int
    closed: bool


class Far(End):
    """The server that the client names: it takes any bytes, and says hello once some came."""

    def __init__(self, fuzzer: ProxyFuzzer) -> None:
        super().__init__(fuzzer.world)
        fuzzer.far.append(self)

    def data_received(self, data: bytes) -> None:
        if not self.received:
            self.send(_GREETING)
        super().data_received(data)

    def eof_received(self) -> bool:
        super().eof_received()
        self.reset()
        return True


class Upstream(End):
    """The upstream of the routes: it takes strict requests only."""

    def __init__(self, fuzzer: ProxyFuzzer) -> None:
        super().__init__(fuzzer.world)
        self.fuzzer = fuzzer
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.unread += data
        try:
            while (request := read_request(self.unread)) is not None:
                self.unread = self.unread[len(request.raw) :]
                self.fuzzer.calls.append(request)
                self.send(reply_to(request, len(self.fuzzer.calls) - 1))
        except NotStrict as wrong:
            self.fuzzer.faults.append(Fault("what is forwarded is no strict HTTP", wrong))

    def eof_received(self) -> bool:
        super().eof_received()
        self.reset()
        return True


class ProxyFuzzer(Fuzzer):
    """What is not for the sidecar must pass through it unchanged, however it comes."""

    name: ClassVar[str] = "proxied"
    share: ClassVar[int] = 2
    words: ClassVar[Sequence[bytes]] = first_inputs.WORDS

    def __init__(self) -> None:
        self.far: list[Far] = []
        self.calls: list[Request] = []
        self.faults: list[Fault] = []

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self.world = World({})
        self._servers = [
            await self.world.origin(lambda: Far(self)),
            await self.world.origin(lambda: Upstream(self)),
        ]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        self._far_port = ports[0]
        self.world.config |= configuration(ports[1], self._folder.name)
        await self.world.__aenter__()
        try:
            for host in HOSTS:
                await self._make_leaf(host)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.world.__aexit__(*error)
        for server in self._servers:
            server.close()
        self._folder.cleanup()

    async def _make_leaf(self, host: str) -> None:
        """Have the certificate made that *host* is intercepted with: the first takes its time."""
        client = await self.world.caller()
        client.send(self._first_line(Case(b"", {"form": "connect"})) + real_hello(host))
        told = len(ESTABLISHED)
        try:
            await self.world.until(lambda: len(client.received) > told, "TLS is not answered")
        finally:
            client.reset()
            await self.world.is_empty()

    def fresh(self, random: Random) -> Case:
        form = random.choice(_FORMS)
        data = first_inputs.first_bytes(random)
        if form == "url":
            data = b"A: b\r\n\r\n" + data if random.random() < 0.3 else _behind_the_line(data)
        data = mutated(random, data, self.words) if random.random() < 0.6 else data
        case = Case(data[:16_000], {"form": form})
        return self.fresh(random) if waits(case) and random.random() > _WAITING else case

    def mutate(self, random: Random, case: Case) -> Case:
        new = super().mutate(random, case)
        return self.fresh(random) if waits(new) and random.random() > _WAITING else new

    async def check(self, case: Case) -> Hashable:
        first, *others = segmentations(case)
        went = await self._try(case, first)
        for pieces in others:
            other = await self._try(case, pieces)
            if other != went:
                await self._confirm(case, first, pieces)
        return went._replace(far=b""), case.options["form"]

    async def audit(self) -> None:
        self.world.check_descriptors()

    async def _confirm(self, case: Case, first: list[bytes], pieces: list[bytes]) -> None:
        for _ in range(_CONFIRMED):
            one = await self._try(case, first, _MORE_PATIENCE)
            other = await self._try(case, pieces, _MORE_PATIENCE)
            if one == other:
                return
        raise Fault("segmentation changes where a connection goes", f"{one}\n{other}\n{pieces}")

    async def _try(self, case: Case, pieces: list[bytes], patience: float = _PATIENCE) -> Went:
        self.far.clear()
        self.calls.clear()
        self.faults.clear()
        client = await self.world.caller()
        try:
            went = await self._converse(case, client, pieces, patience)
        finally:
            client.reset()
            for end in self.far:
                end.reset()
            await self.world.is_empty()
        self.world.is_well()
        for request in self.calls:
            check_forwarded(request)
        return went

    async def _converse(
        self, case: Case, client: End, pieces: list[bytes], patience: float
    ) -> Went:
        first = self._first_line(case)
        if case.options["form"] == "connect":
            client.send(first)
            await self.world.until(lambda: client.received, "CONNECT is not answered")
            first = b""
        for piece in [first + pieces[0], *pieces[1:]] if pieces else [first]:
            client.send(piece)
            await self.world.turn()
        long = 1.0 if waits(case) else _LEAF if case.data.startswith(b"\x16") else patience
        await self.world.soon(lambda: self._somewhere(case, client), long)
        await self.world.rests()
        if self.faults:
            raise self.faults[0]
        return self._went(case, client)

    def _first_line(self, case: Case) -> bytes:
        """What is not mutated, so that nothing goes anywhere but to the servers of this test."""
        if case.options["form"] == "url":
            return b"GET http://127.0.0.1:%d/x?y HTTP/1.1\r\n" % self._far_port
        return b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % self._far_port

    def _somewhere(self, case: Case, client: End) -> bool:
        """Whether it is clear what becomes of the connection."""
        told = client.received.removeprefix(ESTABLISHED)
        far = self.far and (self.far[0].received or not case.data)
        return bool(client.closed or told or far)

    def _went(self, case: Case, client: End) -> Went:
        far = b"".join(end.received for end in self.far)
        told = client.received.removeprefix(ESTABLISHED)
        if case.options["form"] == "url":
            return self._url_went(client, far)
        if far and (far != case.data or len(self.far) > 1):
            raise Fault("a tunnel changes what passes through it", (far, case.data))
        if far and told not in (b"", _GREETING):
            raise Fault("a tunnel changes what comes back", told)
        if far and self.calls:
            raise Fault("a connection goes to two servers", (far, self.calls))
        # Whether OpenSSL says why it gives up depends on how much has come.
        ours = _is_tls(told) or (client.closed and case.data.startswith(b"\x16"))
        where = "far" if far else "upstream" if self.calls else "tls" if ours else ""
        return Went(where, far, len(self.calls), client.closed and not far)

    def _url_went(self, client: End, far: bytes) -> Went:
        """The head comes to its origin as one must be; what follows it, as it is."""
        head = far[: far.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in far else far
        if far and not _PASSED_ON.fullmatch(head):
            raise Fault("what is passed on is no strict head", far)
        if far and client.received not in (b"", _GREETING):
            raise Fault("a tunnel changes what comes back", client.received)
        return Went("far" if far else "", far, 0, client.closed and not far)


def waits(case: Case) -> bool:
    """Whether what the client says may still become TLS or HTTP: the sidecar waits for more."""
    return case.options["form"] != "url" and sniff(case.data) is None


def _behind_the_line(data: bytes) -> bytes:
    return data.partition(b"\n")[2] or data


def _is_tls(told: bytes) -> bool:
    """An alert or a handshake of ours."""
    return told[:2] in (b"\x15\x03", b"\x16\x03")


def configuration(port: int, folder: str) -> dict[str, object]:
    """A forward proxy that intercepts the hosts of the inputs, and may reach this machine."""
    return {
        "listeners": [{"address": "127.0.0.1:0", "mode": "forward"}],
        "upstreams": {"u": {"endpoints": [{"url": f"http://127.0.0.1:{port}"}]}},
        "routes": [
            *({"match": {"host": host}, "upstream": "u"} for host in HOSTS),
        ],
        "policies": {"default": {"retry": {"max": 0}}},
        "intercept": {
            "ca": folder,
            "allow": ["127.0.0.0/8"],
            "sniff": _SNIFF,
            "remember": "1us",
        },
    }


def segmentations(case: Case) -> list[list[bytes]]:
    """Whole first, then in pieces."""
    random = case.random
    if not case.data or waits(case):
        return [[case.data]]
    found = [[case.data], cut(random, case.data)]
    if 0 < len(case.data) <= _BYTEWISE:
        found.append(bytewise(case.data))
    return found
