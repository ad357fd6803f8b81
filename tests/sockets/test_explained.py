"""A call goes where it is explained to go: drawn configurations and calls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sidecar.config.load import ConfigErrors, Loaded, load
from sidecar.control.explain import from_file
from sidecar.control.explain.answer import Explained
from sidecar.control.explain.explain import look, tell
from sidecar.control.explain.question import Question
from sidecar.control.serving import Serving
from sidecar.observe.stats import Stats
from sidecar.upstream.endpoints.overrides import Override
from tests.sockets.peers import Server
from tests.sockets.stage import Stage

HOSTS = ["a.test", "b.test", "x.b.test", "[::1]:80"]
PATHS = [
    "/",
    "/v1",
    "/v1/chat/completions",
    "/v1/models/m%2Fn",
    "/v1//chat",
    "/v1/../x",
    "/v2/eu/x",
]
MODELS = ["gpt-4o", "glm-4", "glm", "m"]
KEY = "sk-0123456789-abcd"

matches = st.fixed_dictionaries(
    {},
    optional={
        "host": st.sampled_from(["a.test", "*.test", "{n}.b.test", "::1"]),
        "path": st.sampled_from(["/", "/v1", "/v1/", "/v1/chat", "/v2/{region}/"]),
        "method": st.sampled_from(["POST", "GET"]),
        "headers": st.sampled_from([{"x-team": "a*"}, {"X-Team": "*"}, {"x-other": "?"}]),
        "model": st.sampled_from(["gpt-*", "glm-?", "m", "*"]),
    },
)
others = st.lists(
    st.fixed_dictionaries(
        {"upstream": st.sampled_from(["u1", "u2"])}, optional={"model": st.sampled_from(MODELS)}
    ),
    max_size=2,
)
routes = st.fixed_dictionaries(
    {"upstream": st.sampled_from(["u0", "u1", "u2"]), "match": matches},
    optional={
        "rewrite": st.sampled_from(["/", "/new"]),
        "model": st.sampled_from(MODELS),
        "split": others.map(lambda found: [{**each, "share": "50%"} for each in found]),
        "fallback": others,
        "mirror": st.just({"upstream": "u2", "share": "0%"}),
    },
)
named = st.sampled_from(MODELS).map(lambda model: json.dumps({"model": model}))
bodies = st.one_of(
    named,
    named,
    named,
    st.none(),
    st.just('{"model": "gpt-4o", "model": "glm-4"}'),
    st.just('{"model": 7}'),
    st.just("{"),
    st.just("model=glm-4"),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "x-team": st.sampled_from(["abc", "search", ""]),
        "content-type": st.sampled_from(["application/json", "application/x-www-form-urlencoded"]),
        "authorization": st.just(f"Bearer {KEY}"),
        "x-sidecar-policy": st.sampled_from(["patient", "none"]),
        "x-sidecar-timeout": st.sampled_from(["9s", "soon"]),
        "max-forwards": st.just("0"),
    },
)
questions = st.builds(
    Question,
    st.sampled_from(["POST", "POST", "POST", "GET", "OPTIONS"]),
    st.one_of(st.just("/v1/chat/completions"), st.sampled_from(PATHS)),
    st.sampled_from(HOSTS),
    headers,
    st.none(),
    bodies,
)


class Arrived:
    """What the servers of all upstreams got: each is a path below one address."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.server: asyncio.Server
        self.writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.requests.append((head[0].split()[1], fields, body))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@asynccontextmanager
async def serving(
    config: Mapping[str, Any],
) -> AsyncIterator[tuple[Serving, Stats, Loaded, Arrived]]:
    arrived = Arrived()
    arrived.server = await asyncio.start_server(arrived.take, "127.0.0.1", 0)
    text = json.dumps(config).replace("PORT", str(arrived.port))
    stats = Stats(0.0)
    sidecar = Serving(stats)
    try:
        loaded = load(text, file="drawn.yaml")
        await sidecar.apply(loaded)
        try:
            yield sidecar, stats, loaded, arrived
        finally:
            await sidecar.drain(0)
    finally:
        await arrived.close()


async def made(sidecar: Serving, question: Question) -> tuple[int, str]:
    """Make the call for real; the status of its reply, and the sidecar's error code."""
    (listener,) = sidecar.listeners.values()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    body = (question.body or "").encode()
    lines = [f"{question.method} {question.path} HTTP/1.1", f"Host: {question.host}"]
    lines += [f"{name}: {value}" for name, value in question.headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
    reply = (await reader.read()).decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    writer.close()
    await writer.wait_closed()
    fields = dict(line.lower().split(": ", 1) for line in reply[1:])
    return int(reply[0].split()[1]), fields.get("x-sidecar-error", "")


def config_of(drawn: list[dict[str, Any]], last: str | None, trusted: bool) -> dict[str, Any]:
    """*last*: the model for which a last route takes every call; None: there is none."""
    upstreams: dict[str, Any] = {
        f"u{n}": {"endpoints": [{"url": f"http://127.0.0.1:PORT/u{n}"}]} for n in range(3)
    }
    upstreams["u1"]["credentials"] = {
        "header": "authorization",
        "value": "Bearer ours-0123456789-wxyz",
    }
    upstreams["u2"]["credentials"] = "drop"
    return {
        "listeners": [{"address": "127.0.0.1:0", "trust": {"headers": trusted}}],
        "upstreams": upstreams,
        "routes": drawn + ([] if last is None else [{"upstream": "u0", "model": last}]),
        "policies": {"patient": {"retry": {"max": 1}}},
        "access_log": {"path": None},
        "admin": {"address": None},
    }


def compare(answer: Explained, status: int, code: str, arrived: Arrived) -> None:
    if answer.outcome == "refused":
        assert answer.refused is not None
        assert (status, code) == (answer.refused.status, answer.refused.code)
        assert arrived.requests == []
        return
    assert code == ""
    assert status == 200
    if answer.outcome == "answered":
        assert arrived.requests == []
        return
    ((target, fields, body),) = arrived.requests
    assert answer.sent is not None
    _, name, path = target.split("/", 2)
    assert f"/{path}" == answer.sent.path
    first = [each for each in answer.targets if each.role in ("upstream", "split")]
    possible = [each for each in first if each.upstream == name and each.share > 0]
    assert possible, f"{name} of {answer.targets}"
    keys = {key.header.lower(): key.ends for key in possible[0].keys}
    got = fields.get("authorization")
    assert keys == ({} if got is None else {"authorization": f"…{got[-4:]}"})
    if answer.asked.model is not None and body.startswith(b"{"):
        assert json.loads(body).get("model", "m") in {each.model for each in possible}


@given(
    st.lists(routes, min_size=1, max_size=5),
    st.lists(questions, min_size=1, max_size=6),
    st.none() | st.sampled_from(MODELS),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_call_goes_where_it_is_explained(
    drawn: list[dict[str, Any]], asked: list[Question], last: str | None, trusted: bool
) -> None:
    config = config_of(drawn, last, trusted)
    try:
        load(json.dumps(config).replace("PORT", "1"), file="drawn.yaml")
    except ConfigErrors:
        assume(False)
    asyncio.run(_check(config, asked))


async def _check(config: dict[str, Any], asked: list[Question]) -> None:
    async with serving(config) as (sidecar, stats, loaded, arrived):
        for question in asked:
            counted = {name: dict(of.statuses) for name, of in stats.routes.items()}
            answer = tell(await look(question, loaded, sidecar.snapshot, stats))
            assert counted == {name: dict(of.statuses) for name, of in stats.routes.items()}
            alone = await asyncio.to_thread(from_file.explain, question, loaded)
            assert alone.sent == answer.sent
            assert (alone.route, alone.refused, alone.layers) == (
                answer.route, answer.refused, answer.layers,
            )  # fmt: skip
            arrived.requests.clear()
            status, code = await made(sidecar, question)
            compare(answer, status, code, arrived)
            _reasons(answer, loaded, question)


def _reasons(answer: Explained, loaded: Loaded, question: Question) -> None:
    """A route that was passed over has a reason, unless nobody got as far as the routes."""
    if answer.outcome != "routed":
        return
    assert answer.index is not None
    assert [each.index for each in answer.passed_over] == list(range(answer.index))
    assert all(each.because for each in answer.passed_over)
    assert answer.sentences[0].startswith(question.method)


def seen(answer: Explained) -> list[tuple[str | None, bool | None]]:
    return [(each.state, each.in_rotation) for each in answer.targets[0].endpoints]


async def test_how_endpoints_stand() -> None:
    servers = [Server() for _ in range(6)]
    policy = {"breaker": {"min_calls": 1, "open": "60s"}}
    async with Stage(servers=servers, policy=policy) as stage:
        drained, weightless, broken, sick, cooling, ready = stage.endpoints
        registry, scope = stage.serving.registry, "default"
        registry.override("u", drained.name, Override(drained=True))
        registry.override("u", weightless.name, Override(weight=0.0))
        settings = load(json.dumps(stage.config), file="x").effective[0, "u"].policy.breaker
        assert settings is not None
        broken.new_breaker(scope, settings.settings(), lambda: 0.5).open(time.monotonic())
        sick.problem = "status 500"
        sick.set_health(False)
        cooling.load.cool(time.monotonic() + 100)
        loaded = load(json.dumps(stage.config), file="stage.yaml")

        async def explained() -> Explained:
            return tell(await look(Question(), loaded, stage.serving.snapshot, stage.stats))

        answer = await explained()
        assert seen(answer) == [
            ("drained", False),
            ("weight_0", False),
            ("open", False),
            ("down", False),
            ("cooling", True),
            ("in_use", True),
        ]
        text = "\n".join(answer.sentences)
        assert "2 of 6 endpoints of u are in rotation, chosen by round_robin." in text
        assert f"{sick.name} is down: status 500, so it gets no calls." in text
        assert f"{drained.name} is drained: an operator drains it, so it gets no calls." in text
        ready.set_health(False)
        cooling.set_health(False)
        answer = await explained()
        assert answer.targets[0].panic
        assert "Every endpoint of u is out, so all of them are tried (panic)." in answer.sentences


async def test_a_template_makes_no_endpoint_for_a_question() -> None:
    upstreams = {"u": {"endpoints": [{"url": "http://{where}.test"}]}}
    routes = [{"upstream": "u", "match": {"path": "/{where}"}}]
    async with Stage(upstreams=upstreams, routes=routes) as stage:
        loaded = load(json.dumps(stage.config), file="stage.yaml")
        question = Question(path="/eu/v1")
        answer = tell(await look(question, loaded, stage.serving.snapshot, stage.stats))
        assert [each.name for each in answer.targets[0].endpoints] == ["http://eu.test"]
        assert stage.endpoints == []
