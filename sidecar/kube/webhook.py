"""The webhook's servers: reviews over TLS, health and metrics in the clear.

An unexpected exception is answered with 500. What that means for the pod is the webhook
configuration's to say: `failurePolicy: Ignore` creates it without a sidecar, `Fail` refuses it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sidecar.ca.in_memory import load_pem
from sidecar.kube import policy_review, review
from sidecar.kube.api import ApiError
from sidecar.kube.certificate_source import CertificateSource
from sidecar.kube.certificates import Certificate, expiry
from sidecar.kube.review import Answer, BadReview
from sidecar.kube.settings import Settings

_Answering = Callable[[bytes], Answer]

_log: Final = logging.getLogger(__name__)

MAX_REVIEW: Final = 8 << 20
"""Bytes. An API server takes objects of 3 MiB at most, and a review has two."""
_LOOK_EVERY: Final = 30.0
_LOOK_AGAIN: Final = 2.0
"""Seconds until the next look, while all is well and after one that failed or found news."""
_STOP_WITHIN: Final = 10.0


class Webhook:
    """Answers reviews of pods at `/inject`, and at `/inject/no-net-admin` for namespaces that
    forbid it, and reviews of policies at `/validate`."""

    def __init__(self, settings: Settings, source: CertificateSource) -> None:
        self._settings = settings
        self._source = source
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._serves: Certificate | None = None
        self._registry = CollectorRegistry()
        self._reviews = Counter(
            "sidecar_injector_reviews", "Reviews answered", ["result"], registry=self._registry
        )
        self._expires = Gauge(
            "sidecar_injector_certificate_expiry_timestamp_seconds",
            "When the certificate that is served ends",
            registry=self._registry,
        )

    async def run(self, port: int, health_port: int, stop: asyncio.Event) -> None:
        """Serve until *stop*. Raise OSError when a port can't be had.

        Until there is a certificate, handshakes fail and `/ready` says so.
        """
        servers: list[web.AppRunner] = []
        following = asyncio.create_task(self._follow())
        try:
            servers.append(await _serve(self._reviewing(), port, self._context))
            servers.append(await _serve(self._health(), health_port, None))
            _log.info("listening", extra={"port": port, "health_port": health_port})
            await stop.wait()
        finally:
            following.cancel()
            await asyncio.gather(*(server.cleanup() for server in servers))

    # -- certificates --

    async def _follow(self) -> None:
        while True:
            settled = await self._look()
            await asyncio.sleep(_LOOK_EVERY if settled else _LOOK_AGAIN)

    async def _look(self) -> bool:
        """Serve the source's certificate. Return whether there is nothing to wait for."""
        try:
            found = await self._source.current()
            if found is not None and found != self._serves:
                self._take(found)
        except (ApiError, OSError, ValueError) as error:
            if self._serves is None:
                _log.warning("no certificate yet: %s", error)
            else:
                _log.warning("the certificate was not renewed, the old one stays in use: %s", error)
            return False
        return found is not None

    def _take(self, certificate: Certificate) -> None:
        # First into an unused context: a key that does not fit would stay in it.
        load_pem(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate.pem)
        load_pem(self._context, certificate.pem)
        self._serves = certificate
        ends = expiry(certificate.chain)
        self._expires.set(ends.timestamp())
        _log.info("using a new certificate", extra={"expires": ends.isoformat()})

    # -- pages --

    def _reviewing(self) -> web.Application:
        app = web.Application(client_max_size=MAX_REVIEW)
        inject = partial(review.answer, settings=self._settings)
        for path, answer in (
            ("/inject", inject),
            ("/inject/no-net-admin", partial(inject, no_net_admin=True)),
            ("/validate", policy_review.answer),
        ):
            app.router.add_post(path, partial(self._review, answer))
        return app

    async def _review(self, answer: _Answering, request: web.Request) -> web.Response:
        try:
            body = await request.read()
            # A large policy takes a while, in which pods are not to wait.
            made = await asyncio.to_thread(answer, body)
        except web.HTTPRequestEntityTooLarge:
            self._reviews.labels("too_large").inc()
            raise
        except BadReview as error:
            self._reviews.labels("bad").inc()
            return web.Response(status=400, text=f"{error}\n")
        except Exception:
            _log.exception("an admission review failed")
            self._reviews.labels("failed").inc()
            return web.Response(status=500, text="internal error: see the injector's log\n")
        self._reviews.labels(made.result).inc()
        return web.Response(body=made.body, content_type="application/json")

    def _health(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        if self._serves is None:
            return web.Response(status=503, text="no certificate yet\n")
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _serve(app: web.Application, port: int, tls: ssl.SSLContext | None) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_WITHIN)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port, ssl_context=tls).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
