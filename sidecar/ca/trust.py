"""The three files that make programs trust the local CA, besides all that they trust already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sidecar.ca.authority import open_authority
from sidecar.ca.bundle import bundle, roots, trust_store
from sidecar.ca.folder import BUNDLE_FILE, CERTIFICATE_FILE, TRUST_STORE_FILE, make_private, write


class Trust(NamedTuple):
    """Where they are."""

    certificate: Path
    bundle: Path
    store: Path


def write_trust(certificate: bytes, folder: Path, environ: Mapping[str, str]) -> Trust:
    """Write them into *folder*; *environ* may name files that are trusted now. Raise OSError."""
    made = Trust(folder / CERTIFICATE_FILE, folder / BUNDLE_FILE, folder / TRUST_STORE_FILE)
    before = [file for file in roots(environ) if file.resolve().parent != folder.resolve()]
    both = bundle(before, certificate)
    write(made.certificate, certificate)
    write(made.bundle, both)
    write(made.store, trust_store(both))
    return made


def publish(ca: Path, folder: Path, environ: Mapping[str, str]) -> None:
    """Write what trusts the CA in *ca*, which is made if there is none, into *folder*.

    Raise OSError, or Unusable for the CA.
    """
    certificate = open_authority(ca).pem
    if not folder.exists():
        make_private(folder)
        folder.chmod(0o755)  # for programs of other users
    write_trust(certificate, folder, environ)
