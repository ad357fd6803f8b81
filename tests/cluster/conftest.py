"""One API server for all tests of `test_server.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, running


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = os.environ.get("NO_SERVER")
    if reason:
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("cluster")
    with running(folder) as cluster:
        yield cluster
