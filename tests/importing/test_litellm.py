"""Files of LiteLLM's proxy, as its users write them, and what becomes of them."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cli import main
from sidecar.config.load import Loaded, load
from sidecar.importing.command import written_as
from sidecar.importing.litellm import Imported, NotLiteLLM, imported
from sidecar.importing.providers import PROVIDERS
from sidecar.importing.values import read
from tests.sockets.scripted import Fleet, Scripted, chat

TWO_REGIONS = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://eu.openai.azure.com/
      api_key: os.environ/EU
      rpm: 6
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-ca
      api_base: https://ca.openai.azure.com/openai/v1
      api_key: os.environ/CA
      rpm: 18
"""
TWO_KEYS = """
model_list:
  - {model_name: mini, litellm_params: {model: gpt-4o-mini, api_key: os.environ/ONE, weight: 30}}
  - model_name: mini
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/TWO, weight: 10}
"""
TWO_SERVERS = """
model_list:
  - model_name: qwen
    litellm_params: {model: hosted_vllm/qwen3, api_base: "http://gpu-0:8000/v1", tpm: 60000}
  - model_name: qwen
    litellm_params: {model: hosted_vllm/qwen3, api_base: "http://gpu-1:8000/v1", tpm: 60000}
router_settings: {routing_strategy: least-busy}
"""


def made(text: str) -> Imported:
    return imported(read(text, "config.yaml"))


def loaded(of: Imported) -> Loaded:
    """As it would be served: every secret is there."""
    return load(written_as(of, "config.yaml", None), file="s.yaml", resolve=lambda _, name: name)


def one(text: str) -> dict[str, Any]:
    """The configuration for *text*, which is one that can be served."""
    result = made(text)
    assert loaded(result).warnings == ()
    return result.config


def test_deployments_with_names_of_their_own_share_calls_and_fall_back_to_each_other() -> None:
    config = one(TWO_REGIONS)
    assert config["upstreams"]["azure"]["endpoints"] == [
        {"url": "https://eu.openai.azure.com/openai/v1"}
    ]
    assert config["upstreams"]["azure-2"] == {
        "dialect": "openai",
        "endpoints": [{"url": "https://ca.openai.azure.com/openai/v1"}],
        "credentials": {"header": "api-key", "value": "${env:CA}"},
        "policy": {"limits": {"tokens": {"requests": 18, "when_exceeded": "fallback"}}},
    }
    (route,) = config["routes"]
    assert route == {
        "name": "gpt-4o",
        "match": {"path": "/v1/", "model": "gpt-4o"},
        "rewrite": "/",
        "upstream": "azure-2",
        "model": "gpt-4o-ca",
        "split": [{"upstream": "azure", "model": "gpt-4o-eu", "share": "25%"}],
        "fallback": [
            {"upstream": "azure-2", "model": "gpt-4o-ca"},
            {"upstream": "azure", "model": "gpt-4o-eu"},
        ],
    }


def test_keys_of_one_account_are_one_upstream() -> None:
    (upstream,) = one(TWO_KEYS)["upstreams"].values()
    assert upstream["credentials"] == [
        {"name": "key-1", "header": "authorization", "value": "Bearer ${env:ONE}", "weight": 3},
        {"name": "key-2", "header": "authorization", "value": "Bearer ${env:TWO}", "weight": 1},
    ]


def test_servers_of_one_model_are_endpoints() -> None:
    (upstream,) = one(TWO_SERVERS)["upstreams"].values()
    assert upstream == {
        "dialect": "openai",
        "endpoints": [{"url": "http://gpu-0:8000/v1"}, {"url": "http://gpu-1:8000/v1"}],
        "credentials": "drop",
        "policy": {"limits": {"tokens": {"total": 120_000}}},  # a route without a fallback
        "balance": "least_conn",
    }


def test_settings_prices_aliases_and_fallbacks() -> None:
    config = one(
        TWO_KEYS
        + """
  - model_name: claude
    litellm_params:
      {model: anthropic/claude-opus-4, timeout: 90, stream_timeout: 20, max_retries: 1}
    model_info: {input_cost_per_token: 0.000015, output_cost_per_token: 7.5e-5, id: x}
router_settings:
  num_retries: 3
  timeout: 45
  cooldown_time: 30
  fallbacks: [{claude: [mini]}, {mini: [claude]}]
  model_group_alias: {"gpt 3.5": mini}
litellm_settings: {cache: true, cache_params: {type: local, ttl: 600}}
"""
    )
    assert config["policies"]["default"] == {
        "retry": {"max": 3},
        "timeouts": {"total": "45s"},
        "breaker": {"open": "30s", "open_max": "30s"},
        "cache": {"ttl": "600s"},
    }
    assert config["prices"] == {"claude-opus-4": {"input": 15.0, "output": 75.0}}
    claude = config["upstreams"]["anthropic"]
    assert claude["policy"] == {
        "timeouts": {"total": "90s", "first_byte": "20s"},
        "retry": {"max": 1},
    }
    mini, opus, alias = config["routes"]
    assert mini["fallback"] == [{"upstream": "anthropic", "model": "claude-opus-4"}]
    assert opus["fallback"] == [{"upstream": "openai", "model": "gpt-4o-mini"}]
    assert (alias["name"], alias["match"]["model"]) == ("gpt-3.5", "gpt 3.5")
    assert alias["model"] == "gpt-4o-mini"


def test_what_matches_all_comes_last() -> None:
    config = one(
        """
model_list:
  - {model_name: "*", litellm_params: {model: "openai/*"}}
  - {model_name: "claude-*", litellm_params: {model: "anthropic/claude-*"}}
  - {model_name: mini, litellm_params: {model: gpt-4o-mini}}
"""
    )
    assert [route["name"] for route in config["routes"]] == ["mini", "claude", "everything"]


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        ("{model: bedrock/titan}", "'bedrock/titan' is left out: the sidecar translates no APIs"),
        ("{model: azure/x, api_key: os.environ/K}", "'azure/x' is left out: it has no api_base"),
        ("{model: my-own}", "'my-own' is left out"),
        ("{model: gpt-4o, api_key: sk-secret}", "the key in the file is not copied"),
        ("{model: gpt-4o, organization: org-1}", "litellm_params.organization has no counterpart"),
        ("{model: anthropic/claude-4}", "let callers that can use Anthropic's SDK"),
    ],
)
def test_what_has_no_counterpart_is_told(entry: str, note: str) -> None:
    result = made(TWO_KEYS + f"  - {{model_name: odd, litellm_params: {entry}}}\n")
    assert note in "\n".join(each for each in result.notes if each.startswith("odd: "))
    loaded(result)
    assert "sk-secret" not in written_as(result, "config.yaml", None)


@pytest.mark.parametrize(
    ("section", "note"),
    [
        ("litellm_settings: {drop_params: true}", "litellm_settings.drop_params"),
        ("litellm_settings: {cache: true, cache_params: {type: redis}}", "`store.redis`"),
        ("general_settings: {master_key: sk-1}", "`listeners[].access`"),
        ("router_settings: {routing_strategy: usage-based-routing}", "usage-based-routing has no"),
        ("router_settings: {redis_host: h}", "router_settings.redis_host"),
        ("router_settings: {fallbacks: [{mini: [nope]}, {gone: [mini]}]}", "nope has no route"),
        ("router_settings: {model_group_alias: {a: gone}}", "the alias a is left out"),
        ("environment_variables: {A: b}", "environment_variables has no counterpart"),
        ("guardrails: []", "guardrails has no counterpart"),
    ],
)
def test_settings_without_a_counterpart_are_told(section: str, note: str) -> None:
    result = made(TWO_KEYS + section)
    assert note in "\n".join(result.notes)
    loaded(result)


@pytest.mark.parametrize("text", ["[]", "model_list: 3", "listeners: []", "model_list: []"])
def test_what_is_no_configuration_of_litellm(text: str) -> None:
    with pytest.raises(NotLiteLLM):
        made(text)


NAMES = st.text("abAB1-._/ *ü", min_size=1, max_size=70)
PARAMS = st.fixed_dictionaries(
    {"model": st.sampled_from([f"{name}/m" for name in PROVIDERS] + ["gpt-4o", "x/y", "openai/*"])},
    optional={
        "api_base": st.sampled_from(["http://a:1", "https://b/v1", "https://c.azure.com/openai"]),
        "api_key": st.sampled_from(["os.environ/K", "os.environ/L", "sk-1"]),
        "rpm": st.integers(1, 10**6),
        "tpm": st.integers(1, 10**9),
        "weight": st.integers(1, 50),
        "timeout": st.integers(1, 600),
        "input_cost_per_token": st.floats(0, 1e-3),
    },
)
ENTRIES = st.lists(
    st.fixed_dictionaries({"model_name": NAMES, "litellm_params": PARAMS}), min_size=1, max_size=6
)


@settings(max_examples=40, deadline=None)
@given(ENTRIES)
def test_whatever_is_listed_makes_a_configuration_that_can_be_served(entries: list[Any]) -> None:
    try:
        result = imported({"model_list": entries})
    except NotLiteLLM:
        return
    assert loaded(result).config.routes


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**30)
    | st.floats(0, 1e9)
    | st.sampled_from(
        [
            ".nan",
            ".inf",
            "1e400",
            "-3",
            "5e-5",
            "abc",
            "",
            "a",
            "b",
            "${x",
            "os.environ/a b",
            "\x1b[2J",
        ]
    )
    | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "model", "ttl", "\x1b]0;"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [
    "model", "api_base", "base_url", "api_key", "custom_llm_provider", "weight", "rpm", "tpm",
    "timeout", "stream_timeout", "max_retries", "input_cost_per_token", "output_cost_per_token",
]  # fmt: skip
SETTINGS = [
    "fallbacks", "num_retries", "timeout", "stream_timeout", "cooldown_time", "routing_strategy",
    "model_group_alias", "request_timeout", "cache", "cache_params",
]  # fmt: skip
GOOD = {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o"}}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4),
    st.dictionaries(st.sampled_from(SETTINGS), ANYTHING, max_size=3),
    ANYTHING,
    st.sampled_from(["router_settings", "litellm_settings"]),
)
def test_whatever_stands_anywhere_a_configuration_is_made_of_what_makes_sense(
    params: dict[str, Any], section: dict[str, Any], entry: Any, where: str
) -> None:
    odd = {"model_name": "b", "litellm_params": {"model": "openai/x", **params}}
    result = imported({"model_list": [GOOD, odd, entry], where: section})
    assert loaded(result).config.routes
    told = "".join(result.notes)
    assert told.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rpm", ".inf"),
        ("rpm", "-5"),
        ("tpm", "abc"),
        ("weight", "[1]"),
        ("timeout", ".nan"),
        ("timeout", "yes"),
        ("stream_timeout", "2020-01-01"),
        ("max_retries", "1e400"),
        ("input_cost_per_token", "{a: 1}"),
    ],
)
def test_a_number_that_makes_no_sense_is_told_with_its_entry(key: str, value: str) -> None:
    params = f"{{model: openai/x, {key}: {value}}}"
    result = made(f"model_list: [{{model_name: a, litellm_params: {params}}}]")
    assert f"a: litellm_params.{key} is left out: expected a number from " in "\n".join(
        result.notes
    )
    loaded(result)


def test_numbers_may_be_texts_and_weights_fractions() -> None:
    """YAML 1.1 takes 15e-8 for a text, and LiteLLM makes numbers of those."""
    text = """
model_list:
  - model_name: m
    litellm_params:
      {model: openai/m, api_key: os.environ/A, weight: 0.9, input_cost_per_token: 15e-8}
  - {model_name: m, litellm_params: {model: openai/m, api_key: os.environ/B, weight: "0.1"}}
"""
    config = made(text).config
    assert [key["weight"] for key in config["upstreams"]["openai"]["credentials"]] == [9, 1]
    assert config["prices"]["m"]["input"] == 0.15


async def test_the_models_are_served() -> None:
    """By the routes that were made, with servers in place of the deployments'."""
    text = TWO_SERVERS.replace("router_settings", "ignored")
    servers = Scripted("0"), Scripted("1")
    async with Fleet(*servers) as fleet:
        for number, server in enumerate(servers):
            text = text.replace(f"http://gpu-{number}:8000", server.url)
        config = made(text).config
        fleet.config.update(upstreams=config["upstreams"], routes=config["routes"])
        await fleet.apply()
        for _ in range(2):
            status, _, _ = await fleet.gets(chat(model="qwen"))
            assert status == 200
        heads = [server.requests[0].partition(b"\r\n")[0] for server in servers]
        assert heads == [b"POST /v1/chat/completions HTTP/1.1"] * 2
        asked = [json.loads(server.requests[0].partition(b"\r\n\r\n")[2]) for server in servers]
        assert [each["model"] for each in asked] == ["qwen3"] * 2
        status, _, _ = await fleet.gets(chat(model="other"))
        assert status == 404


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "config.yaml", tmp_path / "sidecar.yaml"
    file.write_text(TWO_KEYS)
    assert main(["import", "litellm", str(file), "-o", str(out)]) == 0
    assert "note: GET /v1/models has no route" in capsys.readouterr().err
    for name in ("ONE", "TWO"):
        monkeypatch.setenv(name, f"sk-{name}")
    assert main(["check", "--strict", str(out)]) == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", StringIO(TWO_KEYS))
    assert main(["import", "litellm", "-"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(out.read_text())


LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%b]\n" % (after, after, b", ".join([b"*%c" % before] * 10))
    for before, after in zip(b"abcdefgh", b"bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"a: [", "config.yaml:1: not YAML"),
        (b"", "config.yaml:1: the file is empty"),
        (b"model_list: " + b"[" * 5000, "config.yaml:1: nested deeper than 32 levels"),
        (b"a: 1\nmodel_list: !!python/object/apply:os.system [x]", "YAML tags"),
        (b"model_list: []\n1: 2", "config.yaml:2: a key must be text"),
        (LAUGHS, "more than 50000 values"),
        (b"\xff\xfe", "decode"),
        (b"{}", "no list"),
    ],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, why: str
) -> None:
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_bytes(content)
    assert main(["import", "litellm", str(file)]) == 1
    assert why in capsys.readouterr().err
