"""Certificates for whoever terminates TLS, made for one run.

`python -m bench.identity DIR`, run by the sidecar's Python, which has what makes certificates.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sidecar.ca.authority import open_authority


def main(folder: Path) -> None:
    """Put a CA, `ca.crt`, and of it `localhost.pem` and `llm.bench.pem` into *folder*."""
    authority = open_authority(folder)
    for host in ("localhost", "llm.bench"):
        (folder / f"{host}.pem").write_bytes(authority.identity(host))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
