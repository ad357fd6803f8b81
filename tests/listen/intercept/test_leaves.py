"""Certificates for the hosts that we speak for, and the CA that signs them."""

from __future__ import annotations

from pathlib import Path

from sidecar.ca.authority import open_authority
from sidecar.ca.folder import KEY_FILE
from sidecar.listen.intercept.leaves import Leaves


async def test_a_host_keeps_its_certificate(tmp_path: Path) -> None:
    leaves = Leaves()
    context = await leaves.context(str(tmp_path), "a.example")
    assert await leaves.context(str(tmp_path), "b.example") is not context
    assert await leaves.context(str(tmp_path), "a.example") is context


async def test_a_ca_that_was_replaced_signs_from_then_on(tmp_path: Path) -> None:
    leaves, other = Leaves(), tmp_path / "other"
    await leaves.context(str(tmp_path / "ca"), "a.example")
    before = await leaves.context(str(tmp_path / "ca"), "a.example")
    open_authority(other)
    (other / KEY_FILE).rename(tmp_path / "ca" / KEY_FILE)
    assert await leaves.context(str(tmp_path / "ca"), "a.example") is not before
    assert leaves._authority is not None
    assert leaves._authority[1].pem == open_authority(tmp_path / "ca").pem


async def test_a_ca_that_is_gone_goes_on(tmp_path: Path) -> None:
    leaves = Leaves()
    await leaves.context(str(tmp_path), "a.example")
    before = await leaves.context(str(tmp_path), "a.example")
    (tmp_path / KEY_FILE).unlink()
    assert await leaves.context(str(tmp_path), "a.example") is before
    await leaves.context(str(tmp_path), "b.example")
    assert not (tmp_path / KEY_FILE).exists()
