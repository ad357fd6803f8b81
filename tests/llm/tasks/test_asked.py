"""What a call for a task asks for, which field is wrong, and what the model is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sidecar.llm.dialects import Dialect
from sidecar.llm.tasks.asked import BadField, asked_of
from sidecar.llm.tasks.pages import listing, openapi
from sidecar.llm.tasks.prompts import conversation, mended, request_body, target
from tests.llm.tasks.worlds import SCHEMA, asked, tasks

TASKS = tasks(inputs={"language": "Of the answer"}, user="In {language}: {content}")
GOOD: dict[str, Any] = {"task": "t", "content": "c", "inputs": {"language": "de"}}


def test_defaults_are_the_tasks() -> None:
    found = asked(tasks(length="short", format="json"))
    assert (found.length, found.max_tokens, found.format.name) == ("short", 64, "json")
    assert not found.stream


def test_the_lengths_are_64_128_and_512_tokens() -> None:
    lengths = ("short", "medium", "long")
    assert [asked(tasks(), length=name).max_tokens for name in lengths] == [64, 128, 512]
    assert asked(tasks(lengths={"short": 9}), length="short").max_tokens == 9


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": "u"}, "task"),
        ({"task": None}, "task"),
        ({"task": []}, "task"),
        ({"content": ""}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": ["c"]}, "content"),
        ({"length": "tiny"}, "length"),
        ({"length": 5}, "length"),
        ({"format": "schema"}, "format"),
        ({"stream": "yes"}, "stream"),
        ({"inputs": {}}, "inputs.language"),
        ({"inputs": {"language": 1}}, "inputs.language"),
        ({"inputs": {"language": "de", "tone": "x"}}, "inputs.tone"),
        ({"inputs": []}, "inputs"),
        ({"modle": "m"}, "modle"),
    ],
)
def test_an_error_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        asked_of(json.dumps(GOOD | change).encode(), TASKS)
    assert caught.value.field == field


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 9000])
def test_a_body_that_is_no_object_is_an_error(body: bytes) -> None:
    with pytest.raises(BadField) as caught:
        asked_of(body, TASKS)
    assert caught.value.field is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "task": st.just("t") | ANY,
        "content": st.just("c") | ANY,
        "length": st.sampled_from(["short", "long"]) | ANY,
        "format": st.sampled_from(["json", "text"]) | ANY,
        "stream": ANY,
        "inputs": st.just({"language": "de"}) | ANY,
    },
)


@given(BODIES)
def test_what_is_taken_is_what_the_schema_allows(body: dict[str, Any]) -> None:
    try:
        asked_of(json.dumps(body).encode(), TASKS)
        taken = True
    except BadField:
        taken = False
    # `null` is as good as absent, and a content of blanks is empty.
    given = {name: value for name, value in body.items() if value is not None}
    allowed = Draft202012Validator(TASKS["t"].schema()).is_valid(given)
    blank = isinstance(body.get("content"), str) and not body["content"].strip()
    assert taken == (allowed and not blank)


# -- what the model is asked --


MODELS = [{"model": "small", "up_to": "4KB"}, {"model": "big"}]


@pytest.mark.parametrize(("size", "model"), [(1, "small"), (4000, "small"), (4001, "big")])
def test_the_size_of_the_content_chooses_the_model(size: int, model: str) -> None:
    task = tasks(models=MODELS)["t"]
    assert task.choice(size).model == model


def test_the_size_is_in_bytes() -> None:
    assert asked(tasks(), content="é" * 3).size == 6


def body_of(dialect: Dialect, *, repairs: bool = False, **more: Any) -> Any:
    known = tasks(dialect, system="S {content}", user="U {content}", temperature=0.5, format="json")
    call = asked(known, content="{x}", **more)
    system, turn = conversation(call)
    turns = mended(turn, "bad", "it is bad") if repairs else (turn,)
    choice = call.task.choice(1)._replace(include_usage=True)
    return json.loads(request_body(call, choice, system, turns))


TOLD = "S {x}\n\nAnswer with one valid JSON value only, without any text around it."
EXPECTED: dict[Dialect, dict[str, Any]] = {
    "openai": {
        "model": "m",
        "messages": [{"role": "system", "content": TOLD}, {"role": "user", "content": "U {x}"}],
        "max_completion_tokens": 128,
        "temperature": 0.5,
    },
    "anthropic": {
        "model": "m",
        "system": TOLD,
        "messages": [{"role": "user", "content": "U {x}"}],
        "max_tokens": 128,
        "temperature": 0.5,
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": TOLD}]},
        "contents": [{"role": "user", "parts": [{"text": "U {x}"}]}],
        "generationConfig": {"maxOutputTokens": 128, "temperature": 0.5},
    },
}
EXPECTED["mistral"] = EXPECTED["cohere"] = {
    **{key: value for key, value in EXPECTED["openai"].items() if "tokens" not in key},
    "max_tokens": 128,
}


@pytest.mark.parametrize("dialect", EXPECTED)
def test_the_request_is_the_dialects(dialect: Dialect) -> None:
    assert body_of(dialect) == EXPECTED[dialect]


@pytest.mark.parametrize("dialect", EXPECTED)
def test_a_stream_is_asked_for_as_the_dialect_does(dialect: Dialect) -> None:
    body = body_of(dialect, stream=True)
    asks = {"stream": True, "stream_options": {"include_usage": True}}
    if dialect in ("anthropic", "cohere"):
        asks.pop("stream_options")
    assert body == EXPECTED[dialect] | ({} if dialect == "gemini" else asks)
    choice = tasks(dialect)["t"].choice(1)
    assert (b"streamGenerateContent?alt=sse" in target(choice, True)) == (dialect == "gemini")


def test_a_repair_shows_the_model_its_answer() -> None:
    turns = body_of("openai", repairs=True)["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[2]["content"] == "bad"
    assert "it is bad" in turns[3]["content"]
    roles = [turn["role"] for turn in body_of("gemini", repairs=True)["contents"]]
    assert roles == ["user", "model", "user"]


def test_older_servers_get_max_tokens() -> None:
    call = asked(tasks(chat_field="max_tokens"))
    body = json.loads(request_body(call, call.task.choice(1), None, ()))
    assert body["max_tokens"] == 128
    assert "max_completion_tokens" not in body


def test_paths() -> None:
    assert target(tasks()["t"].choice(1), False) == b"/v1/chat/completions"
    models = [{"model": "a/b:c", "path": "/x/{model}/chat"}]
    assert target(tasks(models=models)["t"].choice(1), True) == b"/x/a%2Fb%3Ac/chat"
    gemini = tasks("gemini")["t"].choice(1)
    assert target(gemini, False) == b"/v1beta/models/m:generateContent"


# -- what is told about tasks --


def test_the_list_has_each_task_with_its_schema() -> None:
    [entry] = json.loads(listing(tasks(description="D", schema=SCHEMA)))["data"]
    assert (entry["id"], entry["description"], entry["models"]) == ("t", "D", ["m"])
    assert entry["schema"]["properties"]["format"]["enum"][-1] == "schema"
    Draft202012Validator.check_schema(entry["schema"])


def test_the_openapi_page_has_a_schema_for_each_task() -> None:
    page = json.loads(openapi(TASKS, "1.2.3"))
    assert (page["openapi"], page["info"]["version"]) == ("3.1.0", "1.2.3")
    post = page["paths"]["/v1/tasks"]["post"]
    [schema] = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert Draft202012Validator(schema).is_valid(GOOD)
    assert not Draft202012Validator(schema).is_valid(GOOD | {"length": "tiny"})
