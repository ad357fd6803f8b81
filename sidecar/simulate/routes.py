"""Which path serves what: the APIs, the load report, and the control path `/_simulate`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from sidecar.simulate.answer import encode
from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.chat import answer_chat
from sidecar.simulate.counters import render_metrics
from sidecar.simulate.embeddings import answer_embeddings
from sidecar.simulate.endpoint import Build, Endpoint, error_response
from sidecar.simulate.messages import answer_messages
from sidecar.simulate.realtime import serve_realtime
from sidecar.simulate.responses import answer_responses
from sidecar.simulate.text import CREATED

MAX_BODY: Final = 64 * 2**20
"""Bytes of a request; more is answered with 413."""

_APIS: Final[dict[str, tuple[str, Build]]] = {
    "/v1/chat/completions": ("openai", answer_chat),
    "/v1/responses": ("openai", answer_responses),
    "/v1/embeddings": ("openai", answer_embeddings),
    "/v1/messages": ("anthropic", answer_messages),
}


def build_application(endpoint: Endpoint, change: Callable[[Behaviour], None]) -> web.Application:
    """Everything that *endpoint* serves; `POST /_simulate` calls *change*."""
    app = web.Application(client_max_size=MAX_BODY)

    async def name_endpoint(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-simulated-endpoint"] = endpoint.name

    app.on_response_prepare.append(name_endpoint)
    for path, (dialect, build) in _APIS.items():
        app.router.add_post(path, partial(endpoint.call, dialect=dialect, build=build))
    app.router.add_get("/v1/models", partial(_models, endpoint))
    app.router.add_get("/v1/realtime", partial(serve_realtime, endpoint))
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", partial(_metrics, endpoint))
    app.router.add_get("/_simulate", partial(_show, endpoint))
    app.router.add_post("/_simulate", partial(_change, endpoint, change))
    app.router.add_route("*", "/{anything:.*}", _not_found)
    return app


async def _models(endpoint: Endpoint, _request: web.Request) -> web.Response:
    model = {
        "id": endpoint.regime.behaviour.model,
        "object": "model",
        "created": CREATED,
        "owned_by": "simulated",
    }
    return _json({"object": "list", "data": [model]})


async def _health(_request: web.Request) -> web.Response:
    return web.Response()


async def _metrics(endpoint: Endpoint, _request: web.Request) -> web.Response:
    behaviour = endpoint.regime.behaviour
    text = render_metrics(endpoint.counters, behaviour.model, behaviour.slots)
    return web.Response(text=text, headers={"content-type": "text/plain; version=0.0.4"})


async def _show(endpoint: Endpoint, _request: web.Request) -> web.Response:
    return _json(
        {
            "endpoint": endpoint.name,
            "behaviour": str(endpoint.regime.behaviour),
            "counters": endpoint.counters.snapshot(),
        }
    )


async def _change(
    endpoint: Endpoint, change: Callable[[Behaviour], None], request: web.Request
) -> web.Response:
    try:
        behaviour = Behaviour.parse(await request.text())
    except ValueError as error:
        return _json({"error": str(error)}, 400)
    change(behaviour)
    return await _show(endpoint, request)


async def _not_found(request: web.Request) -> web.Response:
    dialect = "anthropic" if request.path.startswith("/v1/messages") else "openai"
    return error_response(dialect, 404, f"Invalid URL ({request.method} {request.path})")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")
