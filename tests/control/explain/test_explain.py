"""What is told of a call that nobody makes, by a configuration alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.defaults import default_text
from sidecar.config.load import Written
from sidecar.control.explain import from_file
from sidecar.control.explain.answer import Explained
from sidecar.control.explain.question import Question, from_json, from_query

ROOT = Path(__file__).parents[3]
KEY = "sk-team-0123456789"
CONFIG = """
listeners:
  - {address: 127.0.0.1:14001}
  - address: 127.0.0.1:14002
    trust: {headers: true}
    access: {callers: {search: ["sha256:DIGEST"]}}
  - {address: 127.0.0.1:14003, mode: forward}
upstreams:
  openai:
    endpoints: [{url: https://api.openai.com}]
    credentials: {header: authorization, value: "Bearer ${file:/nowhere/key}"}
  glm:
    endpoints: [{url: http://glm-0:8000, weight: 2}, {url: http://glm-1:8000, labels: {gpu: h100}}]
    balance: dynamic
    credentials: [{header: x-api-key, value: key-of-glm-0123456789}, {header: x-api-key, value: b}]
  azure: {endpoints: [{url: "https://{resource}.openai.azure.com"}]}
routes:
  - {name: azure, match: {path: "/azure/{resource}"}, rewrite: /, upstream: azure}
  - {name: team, match: {headers: {x-team: "secret-*"}, method: GET}, upstream: glm}
  - name: glm
    match: {model: "glm-*", host: "*.test"}
    upstream: glm
    policy: patient
    split: [{upstream: openai, share: 12.5%, model: gpt-4o}]
    fallback: [{upstream: openai, model: gpt-4o-mini}]
    mirror: {upstream: openai, share: 1%}
  - {name: rest, match: {path: /v1/}, upstream: openai, policy: {hedge: {after: 2s}}}
policies:
  patient: {timeouts: {first_byte: 5m, total: 10m}, cache: {ttl: 1m}, retry: {max: 0}}
""".replace("DIGEST", hashlib.sha256(KEY.encode()).hexdigest())


def told(text: str = CONFIG, **question: Any) -> Explained:
    return from_file.explain(Question(**question), from_file.read([Written(text, "sidecar.yaml")]))


def test_a_split_with_all_that_there_is() -> None:
    answer = told(host="a.test", model="glm-4")
    assert answer.sentences == [
        "POST /v1/chat/completions for host a.test and model glm-4 "
        "goes to route glm, the 3rd of 4.",
        "Route azure does not match: it wants path /azure/{resource}, not /v1/chat/completions.",
        "Route team does not match: it wants method GET, not POST; the call has no header x-team.",
        "Route rest would match too, but the first match wins.",
        "Under policy patient, connecting may take 5 s, the first byte of a reply 300 s, "
        "a silence in it 120 s, and the whole call 600 s.",
        "A failure that may be mended gets no retry.",
        "Before an upstream is asked, a kept reply may answer it.",
        "Upstream glm gets 87.5 % of the calls, asked for model glm-4, with one of 2 keys of the "
        "sidecar.",
        "Upstream glm has 2 endpoints, http://glm-0:8000, http://glm-1:8000, chosen by dynamic.",
        "Upstream openai gets 12.5 % of the calls, asked for model gpt-4o instead of glm-4, "
        "with the sidecar's key in authorization.",
        "Upstream openai has the endpoint https://api.openai.com, chosen by round_robin.",
        "If that fails, upstream openai is tried, asked for model gpt-4o-mini instead of glm-4, "
        "with the sidecar's key in authorization.",
        "Upstream openai has the endpoint https://api.openai.com, chosen by round_robin.",
        "Upstream openai gets a copy of 1 % of the calls, asked for model glm-4, "
        "with the sidecar's key in authorization.",
        "Upstream openai has the endpoint https://api.openai.com, chosen by round_robin.",
    ]
    assert [(each.role, each.upstream, each.share) for each in answer.targets] == [
        ("upstream", "glm", 0.875),
        ("split", "openai", 0.125),
        ("fallback", "openai", 1.0),
        ("mirror", "openai", 0.01),
    ]
    assert [(key.name, key.ends) for key in answer.targets[0].keys] == [
        ("key-1", "…6789"), ("key-2", None),
    ]  # fmt: skip
    assert answer.layers[:3] == ["keyed", "cache", "keeps"]
    assert answer.layers[-1] == "attempt"
    policy: Any = answer.targets[0].policy
    assert policy["cache"]["ttl"] == "1m"
    assert policy["timeouts"]["first_byte"] == "5m"


def test_no_secret_is_told() -> None:
    answer = told(path="/v1/x", headers={"Authorization": "Bearer sk-of-the-caller-0123"})
    assert "secret-" not in repr(answer)
    assert "sk-of" not in repr(answer)
    assert answer.targets[0].keys[0].ends is None  # it could not be read
    assert "authorization" in answer.asked.headers


@pytest.mark.parametrize(
    ("question", "outcome", "sentences"),
    [
        (
            {"path": "/azure/eu-1/openai?api-key=k", "headers": {"api-key": "k" * 12 + "last"}},
            "routed",
            [
                "goes to route azure, the 1st of 4",
                "with the caller's key in api-key that ends in …last",
                "has the endpoint https://eu-1.openai.azure.com",
            ],
        ),
        (
            {"headers": {"x-team": "other"}, "method": "GET"},
            "routed",
            ["Route team does not match: the header x-team has another value"],
        ),
        ({"model": "m"}, "routed", ["and a hedge after 2s", "Under a policy of its own"]),
        (
            {"path": "/chat/completions", "host": "a.test"},
            "refused",
            [
                "The caller gets 404 no_route: ",
                "Route glm does not match: it wants model glm-*, not none",
            ],
        ),
        (
            {"path": "/chat/completions", "host": "b"},
            "refused",
            ["The caller gets 404 no_route: no route matches POST /chat/completions"],
        ),
        ({"path": "/v1/../x"}, "refused", ["The caller gets 400 bad_path: "]),
        ({"path": "/v1 x"}, "refused", ["The caller gets 400 bad_request: "]),
        ({"path": "/v1\r\nx: y"}, "refused", ["a line break is no part of"]),
        ({"method": "OPTIONS", "headers": {"max-forwards": "0"}}, "answered", ["by itself"]),
        (
            {"listener": "127.0.0.1:14003", "host": "example.com", "path": "/"},
            "passed_through",
            ["No route names the host example.com, so the listener passes its connection through"],
        ),
        (
            {"listener": "127.0.0.1:14002"},
            "routed",
            ["The listener 127.0.0.1:14002 answers 401: this listener serves known callers only"],
        ),
        (
            {
                "listener": "127.0.0.1:14002",
                "headers": {"x-api-key": KEY, "x-sidecar-retries": "7"},
            },
            "routed",
            ["Upstream openai gets the call, with the sidecar's key", "up to 7 retries"],
        ),
        (
            {
                "listener": "127.0.0.1:14002",
                "headers": {"x-sidecar-policy": "patient", "x-sidecar-idle-timeout": "3s"},
            },
            "routed",
            ["Under policy patient, ", "a silence in it 3 s", "the whole call 600 s", "no retry"],
        ),
    ],
)
def test_what_is_said(question: dict[str, Any], outcome: str, sentences: list[str]) -> None:
    answer = told(**question)
    text = "\n".join(answer.sentences)
    assert answer.outcome == outcome, text
    assert [each for each in sentences if each not in text] == [], text


def test_a_key_that_lets_in_is_not_sent_on() -> None:
    answer = told(listener="127.0.0.1:14002", path="/azure/eu/x", headers={"x-api-key": KEY})
    assert answer.access is None
    assert answer.targets[0].keys == []


def test_a_call_for_a_task() -> None:
    text = CONFIG + "tasks: {sum: {route: rest, models: [{model: gpt-4o}], user: '{content}'}}\n"
    answer = told(text, path="/v1/tasks", body={"task": "sum", "content": "x"})
    assert answer.task, answer.sentences
    assert (answer.outcome, answer.route) == ("routed", "rest"), answer.sentences
    assert told(text, path="/v1/tasks", method="GET").outcome == "answered"
    refused = told(text, path="/v1/tasks", body={"task": "none"}).refused
    assert refused is not None
    assert refused.code == "bad_task"


def test_a_model_that_readers_read_differently_is_refused() -> None:
    refused = told(host="a.test", body='{"model": "glm-4", "model": "x"}').refused
    assert refused is not None
    assert refused.code == "model_unknown"


def test_many_routes_are_counted() -> None:
    routes = [f"{{match: {{path: /r{n}}}, upstream: u}}" for n in range(30)]
    text = f"""
listeners: [{{address: 127.0.0.1:1}}]
upstreams: {{u: {{endpoints: [{{url: http://a}}]}}}}
routes: [{", ".join(routes)}]
"""
    sentences = told(text, path="/r20/x").sentences
    assert "goes to route 20-u, the 21st of 30" in sentences[0]
    assert "12 other routes do not match either." in sentences
    assert len(sentences) < 20
    assert len(told(text, path="/none").passed_over) == 30


def test_no_ledger_is_made(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    budgets = f"budgets: {{ledger: {ledger}, limits: {{b: {{money: 1, per: day}}}}}}\n"
    answer = told(CONFIG + budgets + "prices: {'*': {input: 1, output: 1}}\n", path="/v1/x")
    assert "budgets" in answer.layers
    assert list(tmp_path.iterdir()) == []


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_configuration_of_the_documents_can_be_explained(page: Path) -> None:
    found = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    texts = [each for each in found if re.search("^listeners:", each, re.MULTILINE)]
    if page.name == "configuration.md":
        texts.pop()  # the broken one
    for text in texts:
        answer = told(text, model="gpt-4o")
        assert answer.sentences
        assert (answer.outcome == "routed") == bool(answer.targets)


def test_the_well_known_providers() -> None:
    answer = told(default_text(), path="/anthropic/v1/messages", model="claude")
    assert answer.outcome == "routed"
    assert answer.targets[0].dialect == "anthropic"


@pytest.mark.parametrize(
    ("query", "question"),
    [
        ({}, Question()),
        (
            {"path": "/x", "header": "X-A: b: c\n\n x-d:e ", "pretty": ""},
            Question(path="/x", headers={"X-A": "b: c", "x-d": "e"}),
        ),
        ({"body": "text", "method": "PUT"}, Question("PUT", body="text")),
    ],
)
def test_a_question_in_a_url(query: dict[str, str], question: Question) -> None:
    assert from_query(query) == question


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"modle": "x"}, "there is no parameter 'modle', only method, path, "),
        ({"header": "x"}, "a header is written as 'Name: value', not 'x'"),
    ],
)
def test_a_question_that_makes_no_sense(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        from_query(query)


DEEP = b'{"body":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"pth": "/"}', b'{"headers": {"a": 1}}', DEEP])
def test_a_question_that_is_no_question(text: bytes) -> None:
    with pytest.raises(ValueError, match="the body must be a JSON object like"):
        from_json(text)


def test_a_question_in_json() -> None:
    assert from_json(b"") == Question()
    asked = from_json(b'{"path": "/x", "body": {"model": "m"}}')
    assert asked.content() == b'{"model":"m"}'


def test_a_body_that_can_be_read_but_not_written() -> None:
    nested: object = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(ValueError, match="nested too deep"):
        told(path="/", body=nested)


def test_a_listener_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no listener :1, only 127\.0\.0\.1:14001, 127"):
        told(listener=":1")
