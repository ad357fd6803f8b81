"""First bytes of connections, to all that reads them before it is known who should."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from random import Random
from typing import Any, ClassVar, Final

from sidecar.http.client_hello import MAX_HELLO, ClientHello, Unread, read_hello
from sidecar.http.proxied import MAX_HEAD, Form, read_asked
from sidecar.http.sniff import MAX_SNIFFED, sniff
from tests.fuzz import first_inputs
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.mutate import mutated

_HOST: Final = re.compile(r"[a-z0-9\-._~!$&'()*+;=%:]{0,261}")


def hello(data: bytes) -> object:
    """As the two others: None while more is needed."""
    found = read_hello(data)
    return None if found is Unread.MORE else found


READERS: Final[dict[str, tuple[Callable[[bytes], Any], int]]] = {
    "sniff": (sniff, MAX_SNIFFED),
    "asked": (read_asked, MAX_HEAD),
    "hello": (hello, MAX_HELLO),
}
"""Each with how many bytes it may wait for."""


class FirstBytesFuzzer(Fuzzer):
    """Reads every beginning of an input: what is known must stay so, whatever follows."""

    name: ClassVar[str] = "first-bytes"
    words: ClassVar[Sequence[bytes]] = first_inputs.WORDS

    def fresh(self, random: Random) -> Case:
        data = first_inputs.first_bytes(random)
        return Case(mutated(random, data, self.words) if random.random() < 0.7 else data)

    async def check(self, case: Case) -> Hashable:
        return tuple(check_reader(name, case) for name in READERS)


def check_reader(name: str, case: Case) -> Hashable:
    """Read *case* as it comes in; what is known in the end, in short."""
    read, most = READERS[name]
    known: Any = None
    for end in beginnings(case):
        try:
            found = read(case.data[:end])
        except Exception as error:
            raise Fault(f"{name} raises {type(error).__name__}", error) from error
        if known is not None and found != known:
            raise Fault(f"{name} changes its mind", f"{known}, then {found} at {end}")
        if found is None and end >= most:
            raise Fault(f"{name} waits for more than it may", end)
        known = found
    check_host(name, known)
    return _kind(known)


def beginnings(case: Case) -> Iterator[int]:
    """Lengths at which *case* is read: all of a short one, some of a long one."""
    size = len(case.data)
    if size <= 64:
        yield from range(size + 1)
        return
    some = {case.random.randint(0, size) for _ in range(24)}
    ends = {match.end() for match in re.finditer(rb"\n", case.data[:2000])}
    yield from sorted({*some, *list(ends)[:24], 5, 9, size - 2, size - 1, size})


def check_host(name: str, known: Any) -> None:
    """A host that is named must be one, in the form in which hosts are compared."""
    hello = isinstance(known, ClientHello)
    host = known.server_name if hello else getattr(known, "host", None)
    if host is not None and not _HOST.fullmatch(host):
        raise Fault(f"{name} names a host that is none", known)
    asked = getattr(known, "form", None) in (Form.CONNECT, Form.ABSOLUTE)
    if asked and not (known.host and 0 < known.port < 65536 and 0 < known.size <= MAX_HEAD):
        raise Fault(f"{name} asks for no place", known)


def _kind(known: Any) -> Hashable:
    if isinstance(known, ClientHello):
        return "hello", known.server_name is None, len(known.alpn)
    form = getattr(known, "form", getattr(known, "protocol", known))
    return str(form), getattr(known, "host", None) is None
