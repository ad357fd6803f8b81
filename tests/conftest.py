"""Hypothesis: no deadlines (the machine may be busy); in CI, the same examples each time.

Tests may be coroutines: they run on uvloop, as the sidecar does.
"""

import inspect
import os
from collections.abc import Iterator

import pytest
import uvloop
from hypothesis import settings

from sidecar.upstream.connect.resolver import Lookups

settings.register_profile("local", deadline=None, max_examples=200)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = inspect.signature(test).parameters
    uvloop.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(autouse=True)
def _the_system_resolves() -> Iterator[None]:
    """`tests.upstream.names` takes its place for a test."""
    before = Lookups.find
    yield
    Lookups.find = before  # type: ignore[method-assign]
