"""Gives OpenSSL a key that is in memory: it reads keys from files alone."""

from __future__ import annotations

import os
import ssl
import tempfile


def load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Have *context* serve with the key and the certificates in *pem*.

    Where the system has files in memory, as Linux does, the key is on no disk.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("certificate")
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        return
    with tempfile.NamedTemporaryFile() as kept:
        kept.write(pem)
        kept.flush()
        context.load_cert_chain(kept.name)
