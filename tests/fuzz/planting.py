"""For tests that plant a fault: it must be found, and be told as what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from tests.fuzz.cases import Fault, Fuzzer

F = TypeVar("F", bound=Fuzzer)


@asynccontextmanager
async def found(fuzzer: F, kind: str) -> AsyncIterator[F]:
    """A fault of this kind is raised within."""
    async with fuzzer:
        with pytest.raises(Fault) as raised:
            yield fuzzer
        assert raised.value.kind == kind
