"""With everything on, SDKs get the same objects as without a sidecar, and the log their tokens."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapes
from peers import Play, Scene, Sidecar, Ways
from process import ROOT
from programs import run
from scripted import WAIT
from sdk import ask, gemini, sync_anthropic, sync_openai
from shapes import Used

HERE = Path(__file__).parent
GO = ROOT / ".build" / "real-go" / "objects"
Objects = list[Any]
"""What an SDK made of a reply, as plain values."""
Call = Callable[[str], Objects]
"""Takes a base URL."""
THINK: dict[str, Any] = {
    "model": "claude-opus-4-5",
    "max_tokens": 2000,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "messages": [{"role": "user", "content": "x"}],
}


def _dumped(found: Any) -> Any:
    return found.model_dump(mode="json", exclude={"sdk_http_response"}, warnings=False)


def _openai(call: Callable[[Any], Any]) -> Call:
    """*call* with a client of the openai SDK; a stream if it returns one."""

    def made(url: str) -> Objects:
        with sync_openai(f"{url}/v1") as client:
            found = call(client)
            return [_dumped(found)] if hasattr(found, "model_dump") else [_dumped(e) for e in found]

    return made


def _anthropic(call: Callable[[Any], Any]) -> Call:
    def made(url: str) -> Objects:
        with sync_anthropic(url) as client:
            found = call(client)
            return [_dumped(found)] if hasattr(found, "model_dump") else [_dumped(e) for e in found]

    return made


def _accumulated(client: Any) -> Any:
    with client.messages.stream(**THINK) as stream:
        return stream.get_final_message()


def _google(call: Callable[[Any], Any]) -> Call:
    def made(url: str) -> Objects:
        with gemini(url) as client:
            found = call(client)
            return [_dumped(found)] if hasattr(found, "model_dump") else [_dumped(e) for e in found]

    return made


def _chat(**options: Any) -> Call:
    return _openai(
        lambda client: client.chat.completions.create(model="m", messages=ask("x"), **options)
    )


def _program(*command: str) -> Call:
    def made(url: str) -> Objects:
        printed = run([*command[:-1], url, command[-1]]).stdout
        return [json.loads(line) for line in printed.split("\n") if line]

    return made


def _node(mode: str) -> Call:
    return _program("node", str(HERE / "node" / "objects.mjs"), mode)


USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
CALLS: dict[str, tuple[str, Call]] = {
    "chat": ("openai", _chat()),
    "chat, streamed": ("openai", _chat(stream=True)),
    "chat, streamed, with usage": ("openai", _chat(stream=True, **USAGE)),
    "completions": (
        "openai", _openai(lambda c: c.completions.create(model="m", prompt="x")),
    ),
    "completions, streamed": (
        "openai", _openai(lambda c: c.completions.create(model="m", prompt="x", stream=True)),
    ),
    "responses": ("openai", _openai(lambda c: c.responses.create(model="m", input="x"))),
    "responses, streamed": (
        "openai", _openai(lambda c: c.responses.create(model="m", input="x", stream=True)),
    ),
    "embeddings": (
        "openai",
        _openai(lambda c: c.embeddings.create(model="m", input="x", encoding_format="float")),
    ),
    "messages": ("anthropic", _anthropic(lambda c: c.messages.create(**THINK))),
    "messages, streamed": (
        "anthropic", _anthropic(lambda c: c.messages.create(**THINK, stream=True)),
    ),
    "messages, accumulated": ("anthropic", _anthropic(_accumulated)),
    "gemini": (
        "gemini", _google(lambda c: c.models.generate_content(model="g", contents="x")),
    ),
    "gemini, streamed": (
        "gemini", _google(lambda c: c.models.generate_content_stream(model="g", contents="x")),
    ),
    "gemini, embeddings": (
        "gemini", _google(lambda c: c.models.embed_content(model="g", contents="x")),
    ),
    "node: chat": ("openai", _node("chat")),
    "node: chat, streamed": ("openai", _node("chat-stream")),
    "node: responses, streamed": ("openai", _node("responses-stream")),
    "node: messages": ("anthropic", _node("messages")),
    "node: messages, streamed": ("anthropic", _node("messages-stream")),
    "node: messages, accumulated": ("anthropic", _node("messages-final")),
}  # fmt: skip


def told(objects: Objects) -> Used | None:
    """The tokens that the SDK reports, whatever API it is of."""
    found: dict[str, Any] = {}
    for each in objects:
        holder = each.get("response") or each.get("message") or each
        found |= {k: v for k, v in (holder.get("usage") or {}).items() if v is not None}
        found |= {k: v for k, v in (each.get("usage_metadata") or {}).items() if v is not None}
    if "prompt_token_count" in found:
        return shapes.of_gemini(found)
    if "cache_read_input_tokens" in found:
        return shapes.of_anthropic(found)
    used = shapes.of_openai(found)
    return used if any(used) else None  # in Go, what is absent is 0


def logged(sidecar: Sidecar, field: str, value: str) -> dict[str, Any]:
    """The line of the one call whose *field* has *value* in it."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        lines = [json.loads(line) for line in sidecar.log.read_text().splitlines()]
        found = [line for line in lines if value in line[field]]
        if found:
            assert len(found) == 1
            return dict(found[0])
        time.sleep(0.02)
    raise AssertionError("no line in the log")


def used(line: dict[str, Any]) -> Used:
    names = ("input", "cached", "cache_write", "output", "reasoning")
    return Used(*(line.get(f"{name}_tokens", 0) for name in names))


def compare(call: Call, scene: Scene, sidecar: Sidecar, asked: Used | None) -> None:
    """*asked*: the tokens, where the SDK is not told because it did not ask."""
    direct, through = call(scene.direct_url), call(scene.url)
    assert direct
    assert _without_null(through) == _without_null(direct)
    line = logged(sidecar, "path", scene.played.path)
    assert used(line) == (told(through) or asked)
    if line["operation"] != "batchEmbedContents":  # which tells nothing
        assert (line["status"], line["verdict"]) == (200, "complete")
    streams = line.get("stream", False) or line["operation"] == "streamGenerateContent"
    assert ("first_token_ms" in line) == streams


def _without_null(objects: Objects) -> Objects:
    """*objects* without the `usage: null` that all chunks have where a usage is asked for."""
    return [
        {name: value for name, value in each.items() if name != "usage" or value is not None}
        for each in objects
    ]


@pytest.mark.parametrize("name", CALLS)
def test_objects_and_usage_are_the_same(name: str, sidecar: Sidecar, play: Play) -> None:
    dialect, call = CALLS[name]
    scene = play(shapes.answer, f"{dialect}-all")
    silent = Used(0) if "embeddings" in name else Used(30, 10, 0, 20, 7)
    compare(call, scene, sidecar, silent)


@pytest.fixture
def go() -> str:
    """A program with the openai SDK for Go."""
    if not GO.exists():
        pytest.skip("no go here")
    return str(GO)


@pytest.mark.parametrize("mode", ["chat", "chat-stream", "responses-stream"])
def test_objects_and_usage_are_the_same_in_go(
    mode: str, go: str, sidecar: Sidecar, play: Play
) -> None:
    scene = play(shapes.answer, "openai-all")
    compare(_program(go, mode), scene, sidecar, Used(30, 10, 0, 20, 7))


@pytest.mark.parametrize("stream", [False, True])
def test_a_real_server(stream: bool, llama_log: Path, sidecar: Sidecar, ways: Ways) -> None:
    """Its counts, its end and its first token are in the log."""
    identity = str(uuid.uuid4())
    options: dict[str, Any] = {"stream": True, **USAGE} if stream else {}
    call = _openai(
        lambda client: client.chat.completions.create(
            model="tiny", messages=ask("a tale"), max_tokens=40, temperature=0,
            extra_headers={"x-request-id": identity}, **options,
        )
    )  # fmt: skip
    direct, through = call(ways.direct("llama")), call(sidecar.url("/llama-all"))
    assert _text(direct)
    assert _text(direct) == _text(through)
    line = logged(sidecar, "request_id", identity)
    assert (line["verdict"], line["finish"], line["operation"]) == ("complete", "length", "chat")
    assert (line.get("first_token_ms", 0) > 0) == stream
    if stream:  # its streams tell no tokens
        assert line["estimated"]
    else:
        assert used(line) == told(through)
        assert used(line).output == 40


def _text(objects: Objects) -> str:
    choices = [each["choices"][0] for each in objects if each["choices"]]
    pieces = (choice.get("message") or choice["delta"] for choice in choices)
    return "".join(piece["content"] or "" for piece in pieces)
