"""`sidecar ca`: make the local CA, show it, and write what programs need to trust it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sidecar.ca.folder import (
    BUNDLE_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    TRUST_STORE_FILE,
    Unusable,
    default_folder,
    write,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in {
        "init": "make the CA, if there is none yet",
        "show": "its name, fingerprint and validity",
        "path": "print where its certificate is",
        "bundle": "write the system's roots and the CA as one PEM file; print where",
        "truststore": "the same as a Java trust store (PKCS#12); print where",
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--folder", type=Path, metavar="DIR", help="folder of the CA (default: this user's)"
        )
        if name in ("bundle", "truststore"):
            command.add_argument(
                "-o", "--out", type=Path, metavar="FILE", help="(default: beside the CA)"
            )
        command.set_defaults(action=name, out=None)


def run(arguments: argparse.Namespace) -> int:
    """Do it. 1 when the CA can't be had, with the reason on standard error."""
    try:
        print(_ACTIONS[arguments.action](arguments.folder or default_folder(), arguments.out))
    except OSError as error:
        print(f"sidecar ca: {error}", file=sys.stderr)
        return 1
    return 0


def init(folder: Path, out: Path | None = None) -> str:
    """Make the CA if there is none; the path of its certificate."""
    from sidecar.ca.authority import open_authority

    authority = open_authority(folder)
    file = folder / CERTIFICATE_FILE
    if not file.exists():
        write(file, authority.pem)
    return str(file)


def write_bundle(folder: Path, out: Path | None = None) -> str:
    """Write the bundle; its path."""
    file = out or folder / BUNDLE_FILE
    write(file, _bundle(folder))
    return str(file)


def write_trust_store(folder: Path, out: Path | None = None) -> str:
    """Write the Java trust store; its path."""
    from sidecar.ca.bundle import trust_store

    file = out or folder / TRUST_STORE_FILE
    write(file, trust_store(_bundle(folder)))
    return str(file)


def _bundle(folder: Path) -> bytes:
    from sidecar.ca.authority import open_authority
    from sidecar.ca.bundle import bundle, roots

    ours = open_authority(folder).pem
    files = [file for file in roots(os.environ) if file.resolve().parent != folder.resolve()]
    return bundle(files, ours)


def _show(folder: Path, out: Path | None = None) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    from sidecar.ca.authority import read_authority

    try:
        certificate = read_authority(folder / KEY_FILE).certificate
    except FileNotFoundError:
        raise Unusable(f"there is no CA in {folder} yet; `sidecar ca init` makes one") from None
    return "\n".join(
        (
            f"subject:      {certificate.subject.rfc4514_string()}",
            f"sha256:       {certificate.fingerprint(SHA256()).hex(':')}",
            f"valid:        {certificate.not_valid_before_utc:%Y-%m-%d}"
            f" to {certificate.not_valid_after_utc:%Y-%m-%d}",
            f"certificate:  {folder / CERTIFICATE_FILE}",
        )
    )


_ACTIONS = {
    "init": init,
    "show": _show,
    "path": init,
    "bundle": write_bundle,
    "truststore": write_trust_store,
}
