"""Decompress bodies with a content coding (RFC 9110, section 8.4.1) step by step.

zlib has gzip and deflate. zstd and br would need libraries: a body in these is passed on unchanged,
or refused if a route depends on its content.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from sidecar.errors import ModelUnknown

_GZIP: Final = 31
"""zlib's word for a gzip header and the largest window."""
_ZLIB: Final = 15
_RAW: Final = -15
_STEP: Final = 64 * 1024
"""Bytes of input or output per step: about 0.2 ms."""
CODINGS: Final = b"gzip, deflate"


def is_identity(coding: bytes) -> bool:
    """Whether a Content-Encoding of *coding* leaves the body as it is."""
    return coding.strip().lower() in (b"", b"identity")


def plain(body: bytes, coding: bytes, most: int) -> Iterator[bytes]:
    """Yield the pieces of *body* without its *coding*; some may be empty.

    Raise ModelUnknown if the coding is not supported or broken, or the result is longer than *most*
    bytes.
    """
    decoder = zlib.decompressobj(_window(body, coding))
    size = 0
    try:
        for at in range(0, len(body), _STEP):
            for piece in _unpacked(decoder, body[at : at + _STEP]):
                size += len(piece)
                if size > most:
                    raise ModelUnknown(
                        f"the decompressed body is longer than {most} bytes", status=413
                    )
                yield piece
    except zlib.error as error:
        raise ModelUnknown(f"the body can't be decompressed: {error}") from None
    if not decoder.eof:
        raise ModelUnknown("the compressed body is incomplete")


def _unpacked(decoder: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    full = True
    while full or data:
        if decoder.unused_data or (decoder.eof and data):
            raise ModelUnknown("the body has bytes after its compressed data")
        piece = decoder.decompress(data, _STEP)
        data = decoder.unconsumed_tail
        full = len(piece) == _STEP  # zlib may have more output
        yield piece
    if decoder.unused_data:
        raise ModelUnknown("the body has bytes after its compressed data")


def _window(body: bytes, coding: bytes) -> int:
    name = coding.strip().lower()
    if name in (b"gzip", b"x-gzip"):
        return _GZIP
    if name == b"deflate":
        # Some senders leave out zlib's header (RFC 9110, section 8.4.1.2); its check shows that.
        head = int.from_bytes(body[:2])
        return _ZLIB if head & 0x0F00 == 0x0800 and head % 31 == 0 else _RAW
    shown = name[:32].decode("latin-1")
    raise ModelUnknown(
        f"the body is in the content coding {shown}, not gzip or deflate", status=415
    )
