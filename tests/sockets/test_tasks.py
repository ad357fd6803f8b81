"""Tasks: `POST /v1/tasks` and `x-llm-task`, as callers and upstreams see them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from sidecar.llm.answers import Answer, writer_for
from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.sse import EventSplitter
from sidecar.llm.usage import Usage
from sidecar.observe.models import Spent
from tests.sockets.peers import Peer, ok, until
from tests.sockets.scripted import Cut, Fleet, Scripted, status
from tests.sockets.test_rules import asked, said

TASK: dict[str, Any] = {
    "route": "r",
    "models": [{"up_to": "10B", "model": "small"}, {"model": "big"}],
    "system": "Be brief.",
    "user": "Do: {content}",
    "chat_field": "max_tokens",
    "temperature": 0.5,
}
PATHS: dict[Dialect, str] = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/small:generateContent",
}
JSON = b"Content-Type: application/json"


class TaskFleet(Fleet):
    """A fleet with one task, `t`, whose route is `r`."""

    def __init__(self, *servers: Scripted, dialect: str = "openai", **task: Any) -> None:
        upstreams = {
            server.name: {"endpoints": [{"url": server.url}], "dialect": dialect}
            for server in servers
        }
        first, *others = servers
        fallback = [{"upstream": other.name, "model": "spare"} for other in others]
        # Calls by path go elsewhere: only a task finds the route.
        routes = [
            {"name": "r", "upstream": first.name, "match": {"path": "/r"}, "fallback": fallback},
            {"name": "rest", "upstream": first.name},
        ]
        super().__init__(*servers, upstreams=upstreams, routes=routes)
        self.config["tasks"] = {"t": TASK | task}

    @property
    def results(self) -> dict[str, int]:
        return self.stats.tasks["t"]


def task(content: str = "text", *lines: bytes, **more: Any) -> bytes:
    return asked({"task": "t", "content": content, **more}, "/v1/tasks", *lines)


def reply(text: str, dialect: Dialect = "openai", **more: Any) -> bytes:
    writer = writer_for(dialect, APIS[dialect].target(b"POST", PATHS[dialect]), PATHS[dialect])
    assert writer is not None
    answer = Answer(text, "m-1", "1", 0, Usage(input=7, output=2), **more)
    return status(200, JSON, body=writer.whole(answer))


def stream(text: str) -> bytes:
    path = PATHS["openai"]
    writer = writer_for("openai", APIS["openai"].target(b"POST", path), path)
    assert writer is not None
    body = b"".join(writer.stream(Answer(text, "m-1", "1", 0)))
    return status(200, b"Content-Type: text/event-stream", body=body)


def tokens(fleet: Fleet) -> list[tuple[Any, Spent]]:
    """What was counted, by model and team."""
    [route] = [stats for name, stats in fleet.stats.routes.items() if name[0] == "r"]
    return list(route.models.spent.items())


async def answered(fleet: Fleet, request: bytes, client: Peer | None = None) -> tuple[Any, Any]:
    _, body, got = await fleet.gets(request, client)
    return got, json.loads(body)


def sent(server: Scripted, call: int = 0) -> tuple[str, Any]:
    head, _, body = server.requests[call].partition(b"\r\n\r\n")
    return head.decode(), json.loads(body)


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_task_is_done(dialect: Dialect) -> None:
    server = Scripted("u", always=reply("An answer.", dialect))
    async with TaskFleet(server, dialect=dialect) as fleet:
        got, told = await answered(fleet, task(length="short"))
        assert (got.status, got["x-sidecar-task"]) == (200, "t")
        assert told["output"] == "An answer."
        assert (told["model"], told["finish_reason"]) == ("m-1", "stop")
        assert told["usage"] == {"input_tokens": 7, "output_tokens": 2}
        assert (told["task"], told["length"], told["format"]) == ("t", "short", "text")
        head, body = sent(server)
        assert head.startswith(f"POST {PATHS[dialect]} HTTP/1.1")
        assert ("anthropic-version: " in head) == (dialect == "anthropic")
        assert '"max_tokens": 64' in json.dumps(body).replace("maxOutputTokens", "max_tokens")
        assert "Do: text" in json.dumps(body)
        assert fleet.results == {"ok": 1}
        [route] = [stats for name, stats in fleet.stats.routes.items() if name[0] == "r"]
        assert (route.statuses, route.in_flight) == ({200: 1}, 0)


async def test_a_larger_content_goes_to_another_model() -> None:
    server = Scripted("u", always=reply("a"))
    async with TaskFleet(server) as fleet:
        for content, model in (("0123456789", "small"), ("0123456789a", "big")):
            await answered(fleet, task(content))
            assert sent(server, -1)[1]["model"] == model


@pytest.mark.parametrize(
    ("request_", "status_", "param"),
    [
        (task(""), 400, "content"),
        (task(length="tiny"), 400, "length"),
        (asked({"task": "x", "content": "c"}, "/v1/tasks"), 400, "task"),
        (asked(b"no JSON", "/v1/tasks"), 400, None),
        (task().replace(b"POST", b"PUT"), 405, None),
        (asked(b"\x1f\x8b no gzip", "/v1/tasks", b"Content-Encoding: gzip"), 400, None),
    ],
)
async def test_an_error_names_the_field(request_: bytes, status_: int, param: str | None) -> None:
    server = Scripted("u")
    async with TaskFleet(server) as fleet:
        got, told = await answered(fleet, request_)
        assert (got.status, got["x-sidecar-error"]) == (status_, "bad_task")
        assert (told["error"]["param"], told["error"]["code"]) == (param, "bad_task")
        assert not server.requests


async def test_a_body_that_is_not_held_is_too_large() -> None:
    fleet = TaskFleet(Scripted("u"))
    fleet.config["policies"]["default"]["hold"] = "1KiB"
    async with fleet:
        got, told = await answered(fleet, task("c" * 600_000))
        assert (got.status, told["error"]["code"]) == (413, "bad_task")


async def test_a_compressed_body_is_read() -> None:
    async with TaskFleet(Scripted("u", always=reply("a"))) as fleet:
        body = gzip.compress(json.dumps({"task": "t", "content": "c"}).encode())
        request = asked(body, "/v1/tasks", b"Content-Encoding: gzip")
        assert (await answered(fleet, request))[1]["output"] == "a"


async def test_an_answer_that_is_not_in_its_format_is_asked_for_once_more() -> None:
    server = Scripted("u", reply("Here: {}"), reply("{}"))
    async with TaskFleet(server) as fleet:
        _, told = await answered(fleet, task(format="json"))
        assert (told["output"], told["valid"], told["repaired"]) == ({}, True, True)
        assert told["usage"] == {"input_tokens": 14, "output_tokens": 4}
        assert [turn["role"] for turn in sent(server, 1)[1]["messages"]] == [
            "system", "user", "assistant", "user",
        ]  # fmt: skip
        assert fleet.results == {"repaired": 1}
        [(_, spent)] = tokens(fleet)
        assert (spent.input, spent.output) == (14, 4)


@pytest.mark.parametrize("repair", [True, False])
async def test_an_answer_that_stays_wrong_is_an_error(repair: bool) -> None:
    server = Scripted("u", always=reply("no"))
    async with TaskFleet(server, repair=repair) as fleet:
        got, told = await answered(fleet, task(format="json"))
        assert (got.status, told["error"]["code"]) == (502, "bad_output")
        assert server.calls == (2 if repair else 1)
        assert fleet.results == {"invalid": 1}


@pytest.mark.parametrize(
    "bad",
    [
        status(200, JSON, body=b'{"choices":[{"message":{"content":null}}]}'),
        status(200, JSON, body=b"{" + b" " * 2**20 + b"}"),
        status(200, JSON, b"Content-Encoding: br", body=b"{}"),
    ],
)
async def test_a_reply_without_a_text_is_an_error(bad: bytes) -> None:
    async with TaskFleet(Scripted("u", always=bad)) as fleet:
        got, told = await answered(fleet, task())
        assert (got.status, told["error"]["code"]) == (502, "bad_output")


async def test_an_upstreams_error_is_told_in_our_form() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "Too long."}}
    bad = status(400, JSON, b"retry-after-ms: 5", body=json.dumps(error).encode())
    async with TaskFleet(Scripted("u", always=bad), dialect="anthropic") as fleet:
        for request in (task(), task(stream=True)):
            got, told = await answered(fleet, request)
            assert (got.status, got["retry-after-ms"]) == (400, "5")
            assert told["error"]["message"] == "Too long."
        assert fleet.results == {"failed": 2}


async def test_a_fallback_gets_the_task_with_its_own_model() -> None:
    first, spare = Scripted("u", always=status(503)), Scripted("v", always=reply("a"))
    async with TaskFleet(first, spare) as fleet:
        _, told = await answered(fleet, task())
        assert told["output"] == "a"
        body = sent(spare)[1]
        assert (body["model"], body["messages"][1]["content"]) == ("spare", "Do: text")


async def test_no_upstream_is_an_error_in_our_form() -> None:
    async with TaskFleet(Scripted("u", always="reset"), dialect="gemini") as fleet:
        got, told = await answered(fleet, task())
        assert got.status == 502
        assert told["error"]["code"] == got["x-sidecar-error"] == "upstream_reset"
        assert fleet.results == {"failed": 1}


async def test_the_same_tasks_at_once_share_one_call() -> None:
    server = Scripted("u", "wait")
    server.answer = reply("a")
    fleet = TaskFleet(server, temperature=0)
    fleet.config["policies"]["default"]["single_flight"] = {}
    async with fleet:
        clients = [await fleet.client() for _ in range(3)]
        for client in clients:
            await client.sends(task())
        stats = next(of for (name, _), of in fleet.stats.routes.items() if name == "r")
        await until(lambda: stats.in_flight == 3)
        server.gate.set()
        for client in clients:
            told = json.loads((await client.reply()).body)
            assert told.get("output") == "a", told
        assert server.calls == 1


async def test_a_cache_of_the_route_keeps_what_tasks_answer() -> None:
    server = Scripted("u", reply("a"))
    fleet = TaskFleet(server, temperature=0)
    fleet.config["policies"]["default"]["cache"] = {}
    fleet.config["store"] = {"memory": "1MiB"}
    async with fleet:
        for state in ("miss", "hit"):
            got, told = await answered(fleet, task())
            assert (told["output"], got["x-sidecar-cache"]) == ("a", state)
        assert server.calls == 1


async def test_labels_choose_the_endpoint() -> None:
    servers = [Scripted(name, always=reply(name)) for name in ("v1", "v2")]
    endpoints = [{"url": each.url, "labels": {"v": each.name}} for each in servers]
    fleet = TaskFleet(servers[0], models=[{"model": "m", "labels": {"v": "v2"}}])
    fleet.config["upstreams"]["v1"]["endpoints"] = endpoints
    async with fleet.beside(servers[1]):
        for _ in range(3):
            assert (await answered(fleet, task()))[1]["output"] == "v2"


async def test_a_rule_of_the_route_may_answer_a_task() -> None:
    fleet = TaskFleet(Scripted("u"))
    rule = {"name": "ping", "exact": ["Do: ping"], "answer": "- pong"}
    fleet.config["policies"]["default"]["rules"] = [rule]
    async with fleet:
        for stream_ in (False, True):
            _, body, got = await fleet.gets(task("ping", stream=stream_, format="bullet_points"))
            assert (got["x-sidecar-rule"], got["x-sidecar-task"]) == ("ping", "t")
            assert b'"output":"- pong","valid":true' in body


# -- streams --


def events(body: bytes) -> list[Any]:
    return [event.data for event in EventSplitter().feed(body)]


async def test_a_stream() -> None:
    async with TaskFleet(Scripted("u", always=stream("- a"))) as fleet:
        _, body, got = await fleet.gets(task(stream=True, format="bullet_points"))
        assert got["content-type"] == "text/event-stream"
        delta, last, done = events(body)
        assert (json.loads(delta), done) == ({"delta": "- a"}, b"[DONE]")
        assert (json.loads(last)["output"], json.loads(last)["valid"]) == ("- a", True)
        assert fleet.results == {"streamed": 1}


async def test_a_stream_that_breaks_ends_with_an_error() -> None:
    whole = stream("text")
    head, _, body = whole.partition(b"\r\n\r\n")
    first = body.partition(b"\n\n")[0] + b"\n\n"
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    second = body.split(b"\n\n")[1] + b"\n\n"
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (first, second))
    async with TaskFleet(Scripted("u", always=Cut(chunked + b"\r\n\r\n" + pieces))) as fleet:
        client = await fleet.client()
        await client.sends(task(stream=True))
        got = await client.until(b"upstream_truncated")
        await client.is_cut()
        assert b'data: {"delta":"text"}' in got
        assert b"[DONE]" not in got


async def test_a_stream_that_was_not_sent_as_one_is_an_error() -> None:
    async with TaskFleet(Scripted("u", always=reply("a"))) as fleet:
        got, told = await answered(fleet, task(stream=True))
        assert (got.status, told["error"]["code"]) == (502, "bad_output")


async def test_a_caller_that_leaves_ends_the_call_upstream() -> None:
    server = Scripted("u", always="hang")
    async with TaskFleet(server) as fleet:
        client = await fleet.client()
        await client.sends(task())
        await until(lambda: server.calls)
        client.closes()
        await until(lambda: server.broken)


# -- pages, and the header --


async def test_the_tasks_are_listed_and_described() -> None:
    async with TaskFleet(Scripted("u")) as fleet:
        client = await fleet.client()
        get = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
        _, told = await answered(fleet, get % b"/v1/tasks", client)
        assert [entry["id"] for entry in told["data"]] == ["t"]
        _, told = await answered(fleet, get % b"/v1/tasks/openapi.json", client)
        assert told["openapi"] == "3.1.0"
        got, told = await answered(fleet, asked({}, "/v1/tasks/openapi.json"), client)
        assert (got.status, told["error"]["code"]) == (405, "bad_task")
        assert got["allow"] == "GET, HEAD"
        got, _ = await answered(fleet, task().replace(b"POST", b"PUT"), client)
        assert (got.status, got["allow"]) == (405, "GET, HEAD, POST")


NAMED = b"X-LLM-Task: t"
SAYS = {"role": "user", "content": "hi"}
PARTS = {"parts": [{"text": "hi"}]}


async def test_a_chat_that_names_a_task_gets_its_model_and_bounds() -> None:
    server = Scripted("u", always=ok(b"as it is"))
    async with TaskFleet(server) as fleet:
        lines = (NAMED, b"X-LLM-Length: long")
        _, body, got = await fleet.gets(asked(said("hi"), PATHS["openai"] + "?a=b", *lines))
        assert body == b"as it is"
        assert got["x-sidecar-task"] == "t; model=small; max_tokens=512; temperature=0.5"
        head, chat = sent(server)
        assert head.startswith("POST /v1/chat/completions?a=b ")
        assert "x-llm-" not in head.lower()
        assert chat == said("hi", max_tokens=512, temperature=0.5) | {"model": "small"}
        await fleet.gets(asked(said("0123456789a", max_tokens=5), PATHS["openai"], NAMED))
        assert sent(server, 1)[1]["model"] == "big"
        assert sent(server, 1)[1]["max_tokens"] == 5
        assert fleet.results == {"named": 2}


@pytest.mark.parametrize(
    ("dialect", "path", "body", "target", "changed"),
    [
        (
            "anthropic",
            "/v1/messages",
            {"model": "x", "messages": [SAYS]},
            "/v1/messages",
            {"messages": [SAYS], "max_tokens": 128, "temperature": 0.5, "model": "small"},
        ),
        (
            "gemini",
            "/v1beta/models/x:streamGenerateContent?alt=sse",
            {"contents": [PARTS]},
            "/v1beta/models/small:streamGenerateContent?alt=sse",
            {
                "contents": [PARTS],
                "generationConfig": {"maxOutputTokens": 128, "temperature": 0.5},
            },
        ),
    ],
)
async def test_a_chat_of_another_dialect_names_a_task(
    dialect: str, path: str, body: Any, target: str, changed: Any
) -> None:
    server = Scripted("u")
    async with TaskFleet(server, dialect=dialect) as fleet:
        assert (await fleet.gets(asked(body, path, NAMED)))[1] == b"u"
        head, chat = sent(server)
        assert head.startswith(f"POST {target} ")
        assert json.dumps(chat, sort_keys=True) == json.dumps(changed, sort_keys=True)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (asked(said("hi"), PATHS["openai"], b"X-LLM-Task: u"), "x-llm-task"),
        (asked(said("hi"), PATHS["openai"], NAMED, b"X-LLM-Length: x"), "x-llm-length"),
        (asked(said("hi"), "/v1/embeddings", NAMED), "x-llm-task"),
        (asked(b"[]", PATHS["openai"], NAMED), None),
    ],
)
async def test_a_header_that_can_not_be_obeyed_is_an_error(
    request_: bytes, param: str | None
) -> None:
    async with TaskFleet(Scripted("u")) as fleet:
        got, told = await answered(fleet, request_)
        assert (got.status, told["error"]["code"]) == (400, "bad_task")
        assert told["error"]["param"] == param


async def test_without_tasks_path_and_header_are_as_any_other() -> None:
    server = Scripted("u")
    async with Fleet(server) as fleet:
        assert (await fleet.gets(task()))[1] == b"u"
        assert (await fleet.gets(asked(said("hi"), PATHS["openai"], NAMED)))[1] == b"u"
        assert b"POST /v1/tasks " in server.requests[0]
        assert NAMED in server.requests[1]


async def test_a_forward_proxy_passes_the_path_of_another_host() -> None:
    server = Scripted("u")
    fleet = TaskFleet(server)
    fleet.config["listeners"] = [{"address": "127.0.0.1:0", "mode": "forward"}]
    fleet.config["routes"].insert(0, {"upstream": "u", "match": {"host": "a"}})
    async with fleet:
        request = task().replace(b"POST /v1", b"POST http://a/v1")
        assert (await fleet.gets(request))[1] == b"u"
