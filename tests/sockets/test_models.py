"""Routes and aliases by model, whatever the body looks like: understood, or refused."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from sidecar.observe.record import CallRecord
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, status
from tests.sockets.stage import Stage

JSON = b"Content-Type: application/json"
GLM = b'{"model":"glm-4","messages":[]}'
ALIAS = b'{"model":"small","messages":[]}'
FORM = b"Content-Type: multipart/form-data; boundary=x"
UNREADABLE = [
    (b"not json", JSON, 400),
    (b'{"model":"glm-4","model":"small"}', JSON, 400),
    (b'{"Model":"glm-4"}', JSON, 400),
    (b'{"model":["glm-4"]}', JSON, 400),
    (b'{"model":"glm-4"', b"Content-Type: text/plain", 400),
    (GLM, JSON + b"\r\nContent-Encoding: zstd", 415),
    (GLM, JSON + b"\r\nContent-Encoding: br", 415),
    (GLM, JSON + b"\r\nContent-Encoding: gzip", 400),
    (gzip.compress(GLM + b" " * 9000), JSON + b"\r\nContent-Encoding: gzip", 413),
    (GLM + b" " * 900_000, JSON, 413),  # more than one read
    (b"--x\r\n", FORM, 400),
]


def form(model: bytes) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
    return head + model + b"\r\n--x--\r\n"


def post(body: bytes, *lines: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def by_model(own: Scripted, paid: Scripted, **route: Any) -> Fleet:
    """Calls for `glm-*` are for one's own server, all others for one that is paid."""
    upstreams = {s.name: {"endpoints": [{"url": s.url}]} for s in (own, paid)}
    routes = [
        {"match": {"path": "/free/"}, "upstream": "paid"},
        {"match": {"model": "glm-*", "headers": {"x-own": "*"}}, "upstream": "own"},
        {"match": {"headers": {"x-alias": "*"}}, "upstream": "paid", "model": "real"},
        {"match": {"model": "glm-*"}, "upstream": "own"},
        {"upstream": "paid", **route},
    ]
    return Fleet(own, paid, upstreams=upstreams, routes=routes, policy={"hold": "4KiB"})


def pair() -> tuple[Scripted, Scripted]:
    return Scripted("own"), Scripted("paid")


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (GLM, JSON),
        (GLM, b"Content-Type: Application/JSON"),
        (GLM, b"Content-Type: application/vnd.api+json;charset=utf-8"),
        (GLM, b"Content-Type: text/plain"),
        (GLM, b"X-No: type"),
        (gzip.compress(GLM), JSON + b"\r\nContent-Encoding: gzip"),
        (gzip.compress(GLM), JSON + b"\r\nContent-Encoding: X-GZIP"),
        (zlib.compress(GLM), JSON + b"\r\nContent-Encoding: deflate"),
        (GLM, JSON + b"\r\nContent-Encoding: identity"),
        (b"\xef\xbb\xbf" + GLM, JSON),
        (GLM.decode().encode("utf-16"), JSON),
        (GLM.decode().encode("utf-32-be"), JSON),
        (b'{"model":"glm-4","stream":1}', JSON),
        (b'{"model":"glm-4","messages":["\\ud83d"]}', JSON),
        (b'{"model":"glm-4","temperature":NaN}', JSON),
        (form(b"glm-4"), FORM),
    ],
)
async def test_a_prompt_for_ones_own_server_goes_there(body: bytes, lines: bytes) -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        assert (await stage.gets(post(body, lines)))[:2] == (200, b"own")
        assert own.requests[0].endswith(b"\r\n\r\n" + body)  # as it came


@pytest.mark.parametrize(("body", "lines", "refused"), UNREADABLE)
async def test_a_prompt_that_may_be_for_ones_own_server_goes_nowhere_else(
    body: bytes, lines: bytes, refused: int
) -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        client = await stage.client()
        got, told, reply = await stage.gets(post(body, lines), client)
        assert (got, reply.code) == (refused, "model_unknown")
        assert json.loads(told)["error"]["code"] == "model_unknown"
        if len(body) < 4096:  # all of it was read, so that the connection goes on
            assert (await stage.gets(post(GLM, JSON), client))[:2] == (200, b"own")
            assert own.calls == 1
        assert paid.calls == 0


@pytest.mark.parametrize(("body", "lines", "refused"), UNREADABLE)
async def test_where_nothing_depends_on_the_model_everything_passes(
    body: bytes, lines: bytes, refused: int
) -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        request = post(body, lines, path=b"/free/x")
        assert (await stage.gets(request))[:2] == (200, b"paid")
        assert paid.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_route_whose_headers_do_not_fit_is_not_asked_about_the_model() -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        stage.config["routes"] = [*stage.config["routes"][:2], {"upstream": "paid"}]
        await stage.apply()
        assert (await stage.gets(post(b"not json", JSON)))[1] == b"paid"
        assert (await stage.gets(post(b"not json", JSON, b"x-own: 1")))[0] == 400


async def test_a_body_that_names_no_model_is_of_no_model() -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        for body, lines in (
            (b"{}", JSON),
            (b"[1]", JSON),
            (b'{"model":null}', JSON),
            (b"RIFF", b"Content-Type: audio/wav"),
            (b"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nx\r\n--x--", FORM),
        ):
            assert (await stage.gets(post(body, lines)))[1] == b"paid"


# -- aliases --

ALIASED = b"x-alias: 1"


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (ALIAS, b"Content-Type: Application/JSON"),
        (ALIAS, b"Content-Type: text/plain"),
        (gzip.compress(ALIAS), JSON + b"\r\nContent-Encoding: gzip"),
        (zlib.compress(ALIAS), JSON + b"\r\nContent-Encoding: deflate"),
        (b"\xef\xbb\xbf" + ALIAS, JSON),
        (ALIAS.decode().encode("utf-16"), JSON),
        (b'{"model":"small","stream":1}', JSON),
        (b'{"model":"a","model":"b"}', JSON),
        (form(b"small"), FORM),
    ],
)
async def test_an_alias_is_applied_to_it(body: bytes, lines: bytes) -> None:
    own, paid = pair()
    digests = [b"%b: sha-256=:x:" % name for name in (b"Content-Digest", b"Repr-Digest", b"Digest")]
    async with by_model(own, paid) as stage:
        request = post(body, lines, ALIASED, *digests, b"Content-MD5: x", b"X-Other: y")
        assert (await stage.gets(request))[1] == b"paid"
        head, sent = paid.requests[0].lower(), body_of(paid.requests[0])
        assert b"content-encoding" not in head
        assert b"digest" not in head
        assert b"md5" not in head
        assert b"\r\nx-other: y\r\n" in head
        assert b"\r\ncontent-length: %d\r\n" % len(sent) in head
        if lines == FORM:
            assert sent == form(b"real")
        else:
            assert json.loads(sent)["model"] == "real"


@pytest.mark.parametrize(("body", "lines", "refused"), UNREADABLE)
async def test_what_can_not_be_renamed_is_not_sent(body: bytes, lines: bytes, refused: int) -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        got, _, reply = await stage.gets(post(body, lines, ALIASED))
        if (body, refused) == (b'{"model":"glm-4","model":"small"}', 400):
            assert json.loads(body_of(paid.requests[0])) == {"model": "real"}
        elif body.startswith(b'{"model":['):
            assert body_of(paid.requests[0]) == b'{"model":"real"}'
        else:
            assert (got, reply.code) == (refused, "model_unknown")
            assert paid.calls == own.calls == 0


async def test_a_chunked_and_compressed_body_is_sent_with_a_length() -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        packed = gzip.compress(ALIAS)
        client = await stage.client()
        await client.sends(
            b"POST /v1/x HTTP/1.1\r\nHost: a\r\nx-alias: 1\r\nContent-Type: application/json\r\n"
            b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (packed[:5], len(packed) - 5, packed[5:])
        )
        assert (await client.reply()).body == b"paid"
        assert json.loads(body_of(paid.requests[0])) == {"model": "real", "messages": []}


async def test_a_split_with_a_model_refuses_what_can_not_be_renamed() -> None:
    own, paid = pair()
    split = [{"upstream": "own", "model": "x", "share": "1%"}]
    async with by_model(own, paid, split=split) as stage:
        stage.config["routes"] = stage.config["routes"][4:]
        await stage.apply()
        for _ in range(5):
            assert (await stage.gets(post(b"not json", JSON)))[2].code == "model_unknown"
        assert (await stage.gets(post(b"", JSON)))[0] == 200


async def test_a_fallback_with_a_model_is_left_out_for_what_can_not_be_renamed() -> None:
    own, paid = Scripted("own"), Scripted("paid", always=status(503))
    fallback = [{"upstream": "own", "model": "x"}]
    async with by_model(own, paid, fallback=fallback) as stage:
        stage.config["routes"] = stage.config["routes"][4:]
        stage.config["policies"]["default"]["retry"] = {"max": 0}
        await stage.apply()
        assert (await stage.gets(post(b"not json", JSON)))[:2] == (503, b"no")
        assert own.calls == 0
        assert (await stage.gets(post(ALIAS, JSON)))[:2] == (200, b"own")
        assert json.loads(body_of(own.requests[0]))["model"] == "x"


async def test_a_mirror_with_a_model_gets_no_copy_of_what_can_not_be_renamed() -> None:
    own, paid = pair()
    async with by_model(own, paid, mirror={"upstream": "own", "model": "x"}) as stage:
        stage.config["routes"] = stage.config["routes"][4:]
        await stage.apply()
        assert (await stage.gets(post(b"not json", JSON)))[:2] == (200, b"paid")
        await until(lambda: stage.route.mirrored == {"model_unknown": 1})
        packed = post(gzip.compress(ALIAS), JSON, b"Content-Encoding: gzip")
        assert (await stage.gets(packed))[:2] == (200, b"paid")
        await until(lambda: own.calls)
        assert json.loads(body_of(own.requests[0]))["model"] == "x"


# -- what is shown --


async def test_a_model_of_any_length_is_cut_in_log_and_errors() -> None:
    own, paid = pair()
    logged: list[CallRecord] = []
    async with by_model(own, paid) as stage:
        stage.config["routes"] = stage.config["routes"][:4]
        await stage.apply()
        stage.serving.recorder.sinks = [logged]
        body = b'{"model":"%b"}' % (b"m" * 3000)
        got, told, _ = await stage.gets(post(body, JSON))
        assert (got, len(told) < 600) == (404, True)
        await until(lambda: logged)
        assert logged[0].model == "m" * 256


async def test_a_bomb_of_keys_is_refused_before_it_is_unfolded() -> None:
    body = b'{"' + b'":1,"'.join(b"%d" % n for n in range(100_000)) + b'":1}'
    async with Stage(routes=[{"match": {"model": "x"}, "upstream": "u"}]) as stage:
        client = await stage.client()
        await client.sends(post(body, JSON))
        reply = await client.reply()
        assert (reply.status, reply.code) == (400, "model_unknown")


# -- memory --


async def test_what_is_unpacked_or_renamed_counts_as_held() -> None:
    own, paid = Scripted("own"), Scripted("paid", always="wait")
    async with by_model(own, paid) as stage:
        memory = stage.serving.body_memory
        padded = ALIAS[:-1] + b',"pad":"' + b"x" * 3000 + b'"}'
        packed = gzip.compress(padded)
        client = await stage.client()
        await client.sends(post(packed, JSON, b"Content-Encoding: gzip", ALIASED))
        await until(lambda: paid.calls)
        sent = len(body_of(paid.requests[0]))
        assert memory.used == len(packed) + len(padded) + sent
        paid.gate.set()
        assert (await client.reply()).body == b"paid"
        await until(lambda: not memory.used)


async def test_a_body_is_not_unpacked_where_there_is_no_memory_for_it() -> None:
    own, paid = pair()
    async with by_model(own, paid) as stage:
        memory = stage.serving.body_memory
        memory.configure(1000, 0.01)
        memory.add(500)  # somebody else's
        got, _, reply = await stage.gets(post(gzip.compress(GLM), JSON, b"Content-Encoding: gzip"))
        assert (got, reply.code) == (503, "no_body_memory")
        memory.free(500)
        assert (await stage.gets(post(GLM, JSON)))[1] == b"own"
        assert memory.used == 0
