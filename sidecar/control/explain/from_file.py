"""Explain a configuration that no sidecar serves: without its secrets, addresses and stores."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from sidecar.config.load import Written, load
from sidecar.control.explain.explain import look, tell
from sidecar.observe.stats import Stats
from sidecar.proxy.routing.shared_state import SharedState
from sidecar.proxy.routing.snapshot import compile_snapshot
from sidecar.upstream.connect.tls import PLAIN, Secured
from sidecar.upstream.endpoints.registry import Registry

if TYPE_CHECKING:
    from sidecar.config.load import Loaded
    from sidecar.control.explain.answer import Explained
    from sidecar.control.explain.question import Question


def read(texts: Sequence[Written]) -> Loaded:
    """Load the configuration that *texts* make up. Raise ConfigErrors.

    What its references stand for is read where it can be.
    """
    first, *others = texts
    return load(first.text, file=first.file, over=others, offline=True)


def explain(question: Question, loaded: Loaded) -> Explained:
    """Answer by *loaded* alone. Raise ValueError for a listener that it does not have."""
    return asyncio.run(_explain(question, loaded))


async def _explain(question: Question, loaded: Loaded) -> Explained:
    with tempfile.TemporaryDirectory() as folder:
        detached = _detached(loaded, folder)
        stats = Stats(0.0)
        registry = Registry(stats)
        upstreams = detached.config.upstreams
        binding = registry.bind(upstreams, dict.fromkeys(upstreams, Secured(PLAIN, None)))
        transaction = SharedState().begin()
        snapshot = compile_snapshot(detached, binding.upstreams, stats, transaction)
        return tell(await look(question, detached, snapshot, None))


def _detached(loaded: Loaded, folder: str) -> Loaded:
    """Return *loaded* without what its stacks would open: a shared store, the ledger."""
    config = loaded.config
    budgets = config.budgets
    if budgets.ledger is not None:
        budgets = structs.replace(budgets, ledger=os.fspath(Path(folder) / "ledger"))
    store = structs.replace(config.store, redis=None)
    return structs.replace(loaded, config=structs.replace(config, budgets=budgets, store=store))
