"""Kept replies as bytes that others may have written: only what is ours, and whole, is read."""

from __future__ import annotations

import hmac
import zlib
from hashlib import blake2b
from typing import Final

import msgspec

from sidecar.http.fields import Fields, valid
from sidecar.http.headers import NOT_FORWARDED_DOWNSTREAM, REPLY_FIELDS
from sidecar.proxy.stored import StoredReply

_MAGIC: Final = b"LSR1"
"""Of this version of `StoredReply`; another version is a miss."""
_TAG: Final = 16
_LEVEL: Final = 1
"""zlib's fastest: texts shrink to a third, at 100 MB a second."""
_MORE: Final = 64 * 1024
"""Bytes that a reply takes besides its body, at most."""
_FRAMING: Final = NOT_FORWARDED_DOWNSTREAM | {b"content-length"}
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredReply).decode


def seal(key: bytes, reply: StoredReply, secret: bytes) -> bytes:
    """Return *reply*, compressed, with a tag that only *secret* makes. It fits *key* alone."""
    packed = zlib.compress(_encode(reply), _LEVEL)
    return _MAGIC + _tag(key, packed, secret) + packed


def unseal(key: bytes, value: bytes, secret: bytes, most: int) -> StoredReply | None:
    """Return the reply in *value*; None if it is not ours, not for *key*, or too long.

    *most*: bytes of a body.
    """
    packed = value[len(_MAGIC) + _TAG :]
    tag = value[len(_MAGIC) : len(_MAGIC) + _TAG]
    if value[: len(_MAGIC)] != _MAGIC or not hmac.compare_digest(tag, _tag(key, packed, secret)):
        return None
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(packed, most + _MORE)
        if not unpack.eof:
            return None
        reply = _decode(plain)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return reply if _sound(reply) else None


def _tag(key: bytes, packed: bytes, secret: bytes) -> bytes:
    found = blake2b(key, digest_size=_TAG, key=secret[:64], person=b"llm-sidecar")
    found.update(packed)
    return found.digest()


def _sound(reply: StoredReply) -> bool:
    """Whether it can't break a connection, whoever made it."""
    return (
        200 <= reply.status < 600
        and valid(reply.lines)
        and b"\r" not in reply.reason
        and valid(b"\r\nA: " + reply.reason)
        and not _FRAMING & Fields(reply.lines, REPLY_FIELDS).keys()
        and len(reply.times) == (len(reply.pieces) if reply.stream else 0)
    )
