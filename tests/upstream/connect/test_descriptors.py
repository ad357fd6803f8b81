"""How many descriptors who may have, and that the process has as many as it can."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys

import pytest

from sidecar.upstream.connect import descriptors
from sidecar.upstream.connect.descriptors import Ceilings, ceilings_for, may_accept, may_dial
from sidecar.upstream.connect.own_sockets import own_socket

V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("limit", "accepted", "dialled"),
    [(64, 48, 56), (256, 192, 224), (1024, 896, 960), (65536, 65408, 65472)],
)
def test_some_are_kept_in_reserve(limit: int, accepted: int, dialled: int) -> None:
    assert ceilings_for(limit) == Ceilings(accepted, dialled)


def test_their_numbers_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "ceilings", Ceilings(10, 20))
    assert [may_accept(9), may_accept(10)] == [True, False]
    assert [may_dial(19), may_dial(20)] == [True, False]


def test_who_dials_is_told_before_the_system_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    own_socket(V4).close()
    monkeypatch.setattr(descriptors, "ceilings", Ceilings(0, 0))
    with pytest.raises(OSError, match="Too many open files") as caught:
        own_socket(V4)
    assert caught.value.errno == errno.EMFILE


@pytest.mark.parametrize(("soft", "hard"), [(64, 512), (512, 512)])
def test_the_soft_limit_is_raised(soft: int, hard: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from sidecar.upstream.connect import descriptors as d\n"
        "print(d.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], *d.ceilings)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["512", "512", "384", "448"]
