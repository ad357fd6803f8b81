"""What a call asks for, and its body as a layer may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.llm.coding import is_identity
from sidecar.policy.memo import Memo
from sidecar.proxy.body.decompress import decompress

if TYPE_CHECKING:
    from sidecar.llm.dialects import Api, Operation, Target
    from sidecar.proxy.call import Call
    from sidecar.proxy.request import Request


class Operations:
    """What calls ask for, by method and path. Callers ask for the same few: remembered."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: Memo[tuple[bytes, bytes], Target] = Memo()

    def of(self, request: Request) -> Operation:
        """Return what *request* asks for."""
        return self.target(request).operation

    def target(self, request: Request) -> Target:
        """Return the same, with what else the path names."""
        path = request.target.partition(b"?")[0]
        key = (request.method, path)
        known = self._known.get(key)
        if known is None:
            target = self._api.target(request.method, path.decode("latin-1"))
            known = self._known.keep(key, target)
        return known


async def plain_body(call: Call, request: Request, most: int) -> bytes | None:
    """Return the body that *request* would send, decompressed to at most *most* bytes.

    None: it streams, because it is larger than `hold`. Raise ModelUnknown if it can't be
    decompressed.
    """
    if request.content is not None:
        return request.content
    body = call.body
    if not body.complete or body.streamed:
        return None
    coding = call.head.fields.known.get(b"content-encoding")
    if coding is not None and body.unpacked is None and not is_identity(coding):
        await decompress(body, coding, most)
    return body.plain()


def tell(call: Call, name: bytes, value: bytes) -> None:
    """Add a header line to the reply of *call*, instead of the one that an earlier target added."""
    line = b"\r\n%b: " % name
    told = call.told
    at = told.find(line)
    if at >= 0:
        end = told.find(b"\r\n", at + 2)
        told = told[:at] + (told[end:] if end >= 0 else b"")
    call.told = told + line + value if value else told
