"""A CA and two leaves of it, for whoever terminates TLS.

`python -m bench.interception.identity DIR`, run by the sidecar's Python, which has what makes
certificates. The clients trust the same CA.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sidecar.ca.authority import open_authority


def main(folder: Path) -> None:
    """Put `ca.pem`, `ca.crt` and `leaf.pem` (for localhost and llm.bench) into *folder*."""
    authority = open_authority(folder)
    for host in ("localhost", "llm.bench"):
        (folder / f"{host}.pem").write_bytes(authority.identity(host))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
