"""Inputs that repeat something many times, to all that reads a stranger's bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import ClassVar, Final

from tests.fuzz import first_inputs, llm_inputs, reply_inputs, request_inputs
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.growth import FACTOR, grows_too_fast, seconds
from tests.fuzz.mutate import mutated
from tests.fuzz.readers import READERS

_MARK: Final = b"\xff\x00PUMP\x00\xff"
"""Stands around what is repeated."""
_SEEDS: Final[Sequence[Callable[[Random], bytes]]] = (
    request_inputs.connection,
    reply_inputs.reply,
    first_inputs.first_bytes,
    llm_inputs.body,
    llm_inputs.metrics,
    llm_inputs.trace,
)
_WORDS: Final = [
    *(*request_inputs.WORDS, *reply_inputs.WORDS, *first_inputs.WORDS, *llm_inputs.JSON_WORDS),
    *(*llm_inputs.METRIC_WORDS, b" ", b" ", b"\t", b"a", b"a: b\r\n", b"\r\n", b"\n", b"0", b"{"),
    *(b"[", b'{"a":', b'"a":1,', b"1\r\na\r\n", b"\n\n", b"- ", b"a: ", b"&a ", b"*a, ", b"{a: "),
    *(b"\x16\x03\x01\x00\x01\x01", b"http://", b"a=b,", b"Host: ", b"\nhost:", b"\\", b'"', b"'"),
]


class GrowthFuzzer(Fuzzer):
    """Eight times as much of the same must not take far more than eight times as long."""

    name: ClassVar[str] = "growth"
    share: ClassVar[int] = 2
    words: ClassVar[Sequence[bytes]] = _WORDS

    def fresh(self, random: Random) -> Case:
        reader = random.choice(list(READERS))
        seed = random.choice(_SEEDS)(random)[:2000]
        at = random.choice((0, random.randint(0, len(seed)), len(seed)))
        pump = random.choice(
            (random.choice(_WORDS), bytes([random.randrange(256)]), seed[at:][:20])
        )
        if random.random() < 0.3:
            pump += random.choice(_WORDS)
        tail = random.choice((seed[at:], b"", bytes([random.randrange(256)])))
        data = _MARK.join((seed[:at], pump or b"a", tail))
        return Case(data, {"reader": reader})

    def mutate(self, random: Random, case: Case) -> Case:
        parts = case.data.split(_MARK)
        at = random.randrange(len(parts))
        parts[at] = mutated(random, parts[at], self.words, most=1)[:2000]
        return Case(_MARK.join(parts), case.options)

    async def check(self, case: Case) -> Hashable:
        reader = READERS[case.options["reader"]]
        before, pump, after = parts(case.data)
        fixed = len(before) + len(after)
        for size in sizes(reader.most):
            if fixed > size // 2:  # it is not the pump that most of it is
                continue
            # Some inputs are refused at once for what is left of their length: UTF-16 of odd bytes.
            smalls = [pumped(case.data, size), pumped(case.data, size + len(pump))]
            small = max(smalls, key=lambda data: seconds(lambda: reader.read(data), 1))
            large = pumped(case.data, size * FACTOR)
            found = grows_too_fast(lambda: reader.read(small), lambda: reader.read(large))  # noqa: B023
            if found is not None:
                name = case.options["reader"]
                raise Fault(f"the time of {name} grows too fast", f"at {len(large)} bytes {found}")
        return None


def sizes(most: int) -> list[int]:
    """Where growth is looked at: from below, so that what explodes does so early."""
    return [most // FACTOR**power for power in (3, 2, 1)]


def parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before, what is repeated (without marks, all of it), and what stands behind."""
    if _MARK not in data:
        return b"", data, b""
    before, pump, *rest = data.split(_MARK)
    return before, pump, b"".join(rest)


def pumped(data: bytes, size: int) -> bytes:
    """*data* with what is to be repeated as often as *size* bytes allow."""
    before, pump, after = parts(data)
    count = max(1, (size - len(before) - len(after)) // max(1, len(pump)))
    return before + pump * count + after
