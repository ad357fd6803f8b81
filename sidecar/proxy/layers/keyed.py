"""Tell which calls are the same, for the layers inside: single flight and the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.http.keys import keys_among, without_keys
from sidecar.llm.cache_key import ANSWERS, comparable, digest, of_mapping
from sidecar.proxy.layers.affinity import client_of
from sidecar.proxy.layers.readable import Operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.llm.cache_key import KeySettings
    from sidecar.llm.dialects import Api, Dialect
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_ALWAYS: Final = (b"accept", b"anthropic-beta", b"anthropic-version", b"openai-beta", b"origin")
"""Headers on which answers depend: versions of the API, and what CORS replies repeat."""
PLAIN: Final = {b"accept-encoding": b"\r\nAccept-Encoding: identity"}
"""One reply is for callers that take different codings, so it has none."""


def content_of(call: Call, request: Request) -> bytes | None:
    """Return the body that is sent, without a coding; None if there is none that can be compared.

    It can't if it streams, and if what is asked for depends on more than the body says.
    """
    body, fields = call.body, call.head.fields
    if not body.complete or body.streamed or not body.size or call.head.upgrade:
        return None
    if body.trailers or b"range" in fields:
        return None
    if request.content is not None:
        return request.content
    if b"content-encoding" in fields.known and body.unpacked is None:
        return None
    return body.plain()


class CallKey:
    """Digests calls of one route. *scope*: calls of different scopes are never the same."""

    def __init__(
        self,
        scope: str,
        dialect: Dialect,
        api: Api,
        settings: KeySettings,
        hidden: Callable[[bytes], bool] | None = None,
    ) -> None:
        """*hidden*: whether no upstream sees the caller's key in a header of that name.

        Callers who differ in hidden keys alone are one to the upstream. None: it sees all keys.
        """
        self._hidden = hidden
        self._scope = (scope.encode(), dialect.encode())
        self._settings = settings
        self._headers = tuple(dict.fromkeys((*_ALWAYS, *settings.headers)))
        self.headers = frozenset(self._headers)
        """Lower-case names of the headers that it depends on."""
        self.operation = Operations(api).of
        """Returns what a request asks for."""

    def __repr__(self) -> str:
        return f"<CallKey of {self._scope[0].decode()}>"

    def __call__(self, call: Call, request: Request) -> bytes | None:
        """Return the digest of a call; None if it is like no other."""
        content = content_of(call, request)
        if content is None:
            return None
        operation = self.operation(request)
        if operation not in ANSWERS:
            return None
        said = comparable(content, operation, self._settings)
        if said is None:
            return None
        return digest((*self.circumstances(call, request), said))

    def circumstances(self, call: Call, request: Request) -> tuple[bytes, ...]:
        """Return all that must be equal besides the body."""
        return (
            *self._scope,
            request.method,
            without_keys(request.target) if self._settings.shared else request.target,
            of_mapping(request.captured) if request.captured else b"",
            of_mapping(request.labels) if request.labels else b"",
            *self._identity(call),
            *(call.head.fields.get(name, b"") for name in self._headers),
        )

    def _identity(self, call: Call) -> list[bytes]:
        """Who asks: all keys in the head. A caller without any is known by its address."""
        if self._settings.shared:
            return []
        fields = call.head.fields
        keys = sorted(keys_among(fields))
        if self._hidden is not None:
            keys = [name for name in keys if not self._hidden(name)]
        elif not keys:
            return [client_of(call).encode("latin-1")]
        return [part for name in keys for part in (name, fields[name])]


class Keyed:
    """Sends calls that may be like others to *inner*, with their key, and the rest to *plain*."""

    def __init__(
        self,
        inner: Layer,
        plain: Layer,
        key: CallKey,
        passed: Callable[[Call], None] | None = None,
    ) -> None:
        """*passed* is told of each call that goes to *plain*."""
        self._inner = inner
        self._plain = plain
        self._key = key
        self._passed = passed

    def __repr__(self) -> str:
        return f"<Keyed by {self._key!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Work out the key. What comes back has no content coding then."""
        key = self._key(call, request)
        if key is None:
            if self._passed is not None:
                self._passed(call)
            return await self._plain(call, request)
        return await self._inner(call, request.edited(PLAIN).replace(key=key))
