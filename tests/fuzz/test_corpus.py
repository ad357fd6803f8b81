"""What once failed must not fail again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import FUZZERS
from tests.fuzz.cases import CORPUS, read_kept

KEPT = sorted(CORPUS.rglob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
async def test_it_is_mended(path: Path) -> None:
    kept = read_kept(path)
    assert kept.note
    fuzzer = next(kind() for kind in FUZZERS if kind.name == kept.fuzzer)
    assert path.parent.name == kept.fuzzer
    async with fuzzer:
        await fuzzer.check(kept.case)
