"""Tasks, with a real LLM server: by curl, and by an SDK that only sends a header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from peers import Sidecar
from programs import run
from sdk import ask, sync_openai

CURL: Final = ["curl", "--silent", "--show-error", "--max-time", "50", "--noproxy", "*"]
TOKENS: Final = {"short": 64, "medium": 128, "long": 512}


def post(sidecar: Sidecar, **body: Any) -> str:
    text = json.dumps({"task": "continue", "content": "once", **body})
    return run([*CURL, "-d", text, sidecar.url("/v1/tasks")]).stdout


@pytest.mark.parametrize("length", TOKENS)
def test_a_task_is_done_in_as_many_tokens_as_its_length_allows(
    sidecar: Sidecar, llama_log: Path, length: str
) -> None:
    told = json.loads(post(sidecar, length=length))
    assert told["task"] == "continue"
    assert told["output"]
    assert told["model"] == "tiny"
    assert 0 < told["usage"]["output_tokens"] <= TOKENS[length]
    assert told["finish_reason"] in ("stop", "length")


def test_a_task_streams(sidecar: Sidecar, llama_log: Path) -> None:
    lines = post(sidecar, stream=True, length="short").split("\n\n")
    *deltas, last, done, rest = [line.removeprefix("data: ") for line in lines]
    assert (done, rest) == ("[DONE]", "")
    text = "".join(json.loads(delta)["delta"] for delta in deltas)
    assert json.loads(last)["output"] == text != ""


def test_an_error_names_its_field(sidecar: Sidecar) -> None:
    assert json.loads(post(sidecar, length="tiny"))["error"]["param"] == "length"


def test_tasks_are_listed(sidecar: Sidecar) -> None:
    told = json.loads(run([*CURL, sidecar.url("/v1/tasks")]).stdout)
    assert [task["id"] for task in told["data"]] == ["continue"]


def test_an_sdk_names_a_task_in_a_header(sidecar: Sidecar, llama_log: Path) -> None:
    headers = {"x-llm-task": "continue", "x-llm-length": "short"}
    with sync_openai(sidecar.url("/llama/v1"), default_headers=headers) as client:
        raw = client.chat.completions.with_raw_response.create(model="any", messages=ask("once"))
        reply = raw.parse()
    assert raw.headers["x-sidecar-task"].startswith("continue; model=tiny; max_tokens=64")
    assert reply.usage is not None
    assert 0 < reply.usage.completion_tokens <= 64
