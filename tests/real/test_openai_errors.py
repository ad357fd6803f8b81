"""What the openai SDK for Python raises: the server's errors untouched, and our own."""

from __future__ import annotations

import asyncio
import re

import openai
import pytest
from lockstep import completion
from peers import Play, Sidecar
from scripted import Exchange
from sdk import ask, async_openai, sync_openai

STATUSES = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]
# A server that asks for so long a wait is not tried again by anyone in between.
LATER = [
    ("retry-after", "3600"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-request-id", "req-9"),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_servers_error_is_raised_as_its_own_kind(
    play: Play, status: int, kind: type[openai.APIStatusError], stream: bool
) -> None:
    error = {"message": "no, because", "type": "t", "param": "p", "code": "c"}
    scene = play(lambda exchange: exchange.json(status, {"error": error}, LATER))
    with sync_openai(scene.url) as client, pytest.raises(kind) as caught:
        client.chat.completions.create(model="m", messages=ask("x"), stream=stream)
    assert type(caught.value) is kind
    assert "no, because" in caught.value.message
    assert (caught.value.code, caught.value.param, caught.value.type) == ("c", "p", "t")
    headers = caught.value.response.headers
    assert [headers[name] for name, _ in LATER[:2]] == [value for _, value in LATER[:2]]
    assert "x-sidecar-error" not in headers


def test_real_servers_404(llama: str) -> None:
    with sync_openai(llama + "/nothing") as client, pytest.raises(openai.NotFoundError) as caught:
        client.models.list()
    assert caught.value.response.json() == {"detail": "Not Found"}


def test_sdk_retries_until_the_server_recovers(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        if len(scene.exchanges) < 3:
            exchange.json(503, {"error": {"message": "busy"}}, [("retry-after-ms", "1")])
        else:
            exchange.json(200, completion("at last"))

    scene = play(script)
    with sync_openai(scene.url, max_retries=2) as client:
        reply = client.chat.completions.create(model="m", messages=ask("x"))
    assert reply.choices[0].message.content == "at last"
    assert len(scene.exchanges) == 3


def _assert_ours(error: openai.APIStatusError, code: str) -> None:
    headers = error.response.headers
    assert re.fullmatch(code, headers["x-sidecar-error"]), headers["x-sidecar-error"]
    assert headers["x-request-id"]
    assert error.request_id == headers["x-request-id"]
    body = error.response.json()["error"]
    assert {"message", "type", "code"} <= set(body)
    assert body["message"] in error.message


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/nowhere", openai.NotFoundError, "no_route"),
        ("/openai-unreachable", openai.InternalServerError, "connect_failed"),
    ],
)
def test_our_own_errors(
    sidecar: Sidecar, path: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with sync_openai(sidecar.url(path + "/v1")) as client, pytest.raises(kind) as caught:
        client.chat.completions.create(model="m", messages=ask("x"))
    _assert_ours(caught.value, code)


def test_our_own_error_async(sidecar: Sidecar) -> None:
    async def run() -> openai.APIStatusError:
        async with async_openai(sidecar.url("/openai-unreachable/v1")) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="m", messages=ask("x"), stream=True)
            return caught.value

    _assert_ours(asyncio.run(run()), "connect_failed")


def test_first_byte_timeout_is_a_504(sidecar: Sidecar, play: Play) -> None:
    scene = play(Exchange.await_close, "openai-tight")
    with sync_openai(scene.url) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="m", messages=ask("x"))
    assert caught.value.status_code == 504
    _assert_ours(caught.value, ".*first_byte.*")


def test_server_that_resets_before_its_reply(sidecar: Sidecar, play: Play) -> None:
    scene = play(Exchange.reset)
    with sync_openai(scene.url) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="m", messages=ask("x"))
    _assert_ours(caught.value, "upstream_reset")


def test_callers_own_timeout_frees_the_server(play: Play) -> None:
    scene = play(Exchange.await_close)
    with sync_openai(scene.url, timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="m", messages=ask("x"))
    assert scene.only.closed.wait(10)


def test_cancelled_task_frees_the_server(play: Play) -> None:
    arrived = asyncio.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        scene = play(
            lambda exchange: (loop.call_soon_threadsafe(arrived.set), exchange.await_close())[1]
        )
        async with async_openai(scene.url) as client:
            task = asyncio.create_task(client.chat.completions.create(model="m", messages=ask("x")))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await asyncio.to_thread(scene.only.closed.wait, 10)

    asyncio.run(run())
