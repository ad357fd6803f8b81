"""Sources of the webhook's certificate: files that others renew, or certificates made here.

A certificate made here is kept in a Secret that all replicas share. The replica that first sees
that it is due makes the next one, and the API server lets only one replica write it. A replica
serves a certificate only once its CA is in the webhook configurations, so that the API server
trusts it.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from sidecar.kube.api import Api, ApiError
from sidecar.kube.certificates import LIFETIME, Certificate, due, make

Tree = dict[str, Any]
Clock = Callable[[], datetime]

_log: Final = logging.getLogger(__name__)
_KINDS: Final = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations/{}"
_CONFLICT: Final = 409


class CertificateSource(Protocol):
    """Something that certificates come from."""

    async def current(self) -> Certificate | None:
        """The one to serve now; None: go on with the one before.

        Raise ApiError, OSError or ValueError when it can't be told.
        """


class CertificateFiles:
    """A folder with `tls.crt` and `tls.key`, as Secrets of cert-manager and others are mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def current(self) -> Certificate:
        """What the files hold."""
        chain, key = (self._folder.joinpath(name).read_bytes() for name in ("tls.crt", "tls.key"))
        return Certificate(chain=chain, key=key, bundle=b"")


class RotatingCertificate:
    """Certificates made here, kept in *secret* and made known in *configuration*, which has pods
    reviewed, and in *validating*, which has policies reviewed."""

    def __init__(
        self,
        api: Api,
        *,
        service: str,
        secret: str,
        configuration: str,
        validating: str | None = None,
        lifetime: timedelta = LIFETIME,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        namespace = api.namespace()
        self._api = api
        self._names = (f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local")
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._configurations = [_KINDS.format("mutating", configuration)]
        if validating is not None:
            self._configurations.append(_KINDS.format("validating", validating))
        self._lifetime = lifetime
        self._clock = clock
        self._serves = False

    async def current(self) -> Certificate | None:
        """Renew what is due. None while API servers may not know the newest one's CA yet."""
        certificate = await self._shared()
        if certificate is None:
            return None
        were_known = [await self._make_known(certificate.bundle, x) for x in self._configurations]
        if self._serves and not all(were_known):
            return None  # the one that serves is trusted still; the next look takes the new one
        self._serves = True
        return certificate

    async def _shared(self) -> Certificate | None:
        """The Secret's certificate, renewed if it is due; None if another replica was faster."""
        secret = await self._api.get(self._secret)
        kept = _decoded(secret.get("data") or {})
        now = self._clock()
        if kept is not None and not due(kept, self._names, now):
            return kept
        made = make(self._names, now, before=kept, lifetime=self._lifetime)
        try:
            await self._api.put(self._secret, secret | {"data": _encoded(made)})
        except ApiError as error:
            if error.status == _CONFLICT:
                return None
            raise
        _log.info("certificate created", extra={"names": list(self._names)})
        return made

    async def _make_known(self, bundle: bytes, configuration: str) -> bool:
        """Put *bundle* into a webhook configuration. Return whether it was there."""
        text = base64.b64encode(bundle).decode()
        found = await self._api.get(configuration)
        steps: list[Tree] = []
        for index, webhook in enumerate(found.get("webhooks") or ()):
            if webhook["clientConfig"].get("caBundle") != text:
                path = f"/webhooks/{index}"
                # Somebody may have changed the list since: then this fails, and is tried again.
                steps.append({"op": "test", "path": f"{path}/name", "value": webhook["name"]})
                steps.append({"op": "add", "path": f"{path}/clientConfig/caBundle", "value": text})
        if steps:
            await self._api.patch(configuration, steps)
            _log.info("CA bundle patched", extra={"configuration": configuration.split("/", 4)[-1]})
        return not steps


def _encoded(certificate: Certificate) -> dict[str, str]:
    parts = {
        "tls.crt": certificate.chain,
        "tls.key": certificate.key,
        "ca.crt": certificate.bundle,
    }
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def _decoded(data: Tree) -> Certificate | None:
    try:
        chain, key, bundle = (
            base64.b64decode(data[name], validate=True) for name in ("tls.crt", "tls.key", "ca.crt")
        )
    except (KeyError, binascii.Error):
        return None
    return Certificate(chain=chain, key=key, bundle=bundle) if chain and key and bundle else None
