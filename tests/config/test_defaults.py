"""Every base URL in the table, and every host, arrives where the provider's clients expect it."""

import re

import pytest

from sidecar.config.defaults import FILE, default_text
from sidecar.config.load import load
from sidecar.config.model import Match, Route
from sidecar.config.reference import BASE, PROVIDERS

CONFIG = load(default_text(), file=FILE).config


def takes(match: Match, host: str, path: str, headers: dict[str, str]) -> dict[str, str] | None:
    """What the match captures, or None: the rules of docs/configuration.md, written out plainly."""
    captured: dict[str, str] = {}
    for pattern, text, end in ((match.host, host, "$"), (match.path, path, "(?=/|$)")):
        if pattern is not None:
            regex = re.sub(
                r"\\{(\w+)\\}", r"(?P<\1>[A-Za-z0-9-]{1,63})", re.escape(pattern.rstrip("/"))
            )
            found = re.match(regex + end, text)
            if found is None:
                return None
            captured |= found.groupdict()
    return captured if match.headers.keys() <= headers.keys() else None


def arrives(host: str, path: str, headers: dict[str, str] | None = None) -> tuple[str, str]:
    """Upstream and URL of a call."""
    for route in CONFIG.routes:
        captured = takes(route.match, host, path, headers or {})
        if captured is not None:
            upstream = CONFIG.upstreams[route.upstream]
            assert upstream.endpoints[0].url is not None
            url = upstream.endpoints[0].url.format(**captured)
            return route.upstream, url + rewritten(route, path)
    raise AssertionError("no route")


def rewritten(route: Route, path: str) -> str:
    if route.rewrite is None or route.match.path is None:
        return path
    prefix = route.match.path.strip("/").count("/") + 1
    return "/".join([route.rewrite.rstrip("/"), *path.strip("/").split("/")[prefix:]])


CALLS = {
    "/openai/v1/chat/completions": "https://api.openai.com/v1/chat/completions",
    "/anthropic/v1/messages": "https://api.anthropic.com/v1/messages",
    "/gemini/v1beta/models/m:generateContent": (
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"
    ),
    "/azure/mine/openai/deployments/d/chat/completions": (
        "https://mine.openai.azure.com/openai/deployments/d/chat/completions"
    ),
    "/azure-cognitive/mine/openai/v1/models": (
        "https://mine.cognitiveservices.azure.com/openai/v1/models"
    ),
    "/azure-ai/mine/models/chat/completions": (
        "https://mine.services.ai.azure.com/models/chat/completions"
    ),
    "/bedrock/eu-west-1/model/m/converse": (
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse"
    ),
    "/vertex/us-central1/v1/projects/p": "https://us-central1-aiplatform.googleapis.com/v1/projects/p",
    "/vertex/global/v1/projects/p": "https://aiplatform.googleapis.com/v1/projects/p",
    "/cerebras/v1/models": "https://api.cerebras.ai/v1/models",
    "/cohere/v2/chat": "https://api.cohere.com/v2/chat",
    "/dashscope/compatible-mode/v1/models": "https://dashscope.aliyuncs.com/compatible-mode/v1/models",
    "/dashscope-intl/api/v1/x": "https://dashscope-intl.aliyuncs.com/api/v1/x",
    "/deepseek/chat/completions": "https://api.deepseek.com/chat/completions",
    "/fireworks/inference/v1/models": "https://api.fireworks.ai/inference/v1/models",
    "/groq/openai/v1/models": "https://api.groq.com/openai/v1/models",
    "/mistral/v1/models": "https://api.mistral.ai/v1/models",
    "/moonshot/v1/models": "https://api.moonshot.ai/v1/models",
    "/moonshot-cn/v1/models": "https://api.moonshot.cn/v1/models",
    "/nvidia/v1/models": "https://integrate.api.nvidia.com/v1/models",
    "/openrouter/api/v1/models": "https://openrouter.ai/api/v1/models",
    "/perplexity/chat/completions": "https://api.perplexity.ai/chat/completions",
    "/together/v1/models": "https://api.together.xyz/v1/models",
    "/xai/v1/models": "https://api.x.ai/v1/models",
    "/zai/api/paas/v4/chat/completions": "https://api.z.ai/api/paas/v4/chat/completions",
    "/zhipu/api/paas/v4/chat/completions": "https://open.bigmodel.cn/api/paas/v4/chat/completions",
    "/ollama/v1/models": "http://127.0.0.1:11434/v1/models",
    "/v1/chat/completions": "https://api.openai.com/v1/chat/completions",
    "/v1/messages/count_tokens": "https://api.anthropic.com/v1/messages/count_tokens",
    "/v1beta/models": "https://generativelanguage.googleapis.com/v1beta/models",
    "/upload/v1beta/files": "https://generativelanguage.googleapis.com/upload/v1beta/files",
    "/upload/v1/files": "https://generativelanguage.googleapis.com/upload/v1/files",
}


@pytest.mark.parametrize(("path", "url"), CALLS.items())
def test_by_path(path: str, url: str) -> None:
    assert arrives("127.0.0.1", path)[1] == url


def test_every_provider_of_the_table_has_a_call_above() -> None:
    for _, name, base in PROVIDERS:
        prefix = re.sub(r"\{\w+\}", r"[^/]+", "/".join(base.split("/")[:2]))
        assert any(re.match(prefix + "/", path) for path in CALLS), name
    assert {name for _, name, _ in PROVIDERS} == set(CONFIG.upstreams)


@pytest.mark.parametrize(("title", "name", "base"), PROVIDERS)
def test_the_table_names_the_upstream(title: str, name: str, base: str) -> None:
    path = base.replace("{resource}", "mine").replace("{region}", "eu-west-1") + "/x"
    assert arrives("127.0.0.1", path)[0] == name


@pytest.mark.parametrize("name", [name for _, name, _ in PROVIDERS if name != "ollama"])
def test_by_host(name: str) -> None:
    url = CONFIG.upstreams[name].endpoints[0].url
    assert url is not None
    url = url.format(resource="mine", region="eu-west-1")
    assert arrives(url.removeprefix("https://"), "/openai/v1/x") == (name, url + "/openai/v1/x")


def test_both_apis_have_models_and_the_header_tells_them_apart() -> None:
    assert arrives("127.0.0.1", "/v1/models")[0] == "openai"
    assert arrives("127.0.0.1", "/v1/models", {"anthropic-version": "2023-06-01"})[0] == "anthropic"


def test_an_anthropic_client_that_leaves_out_the_version() -> None:
    version = {"anthropic-version": "2023-06-01"}
    for rest in ("", "/batches/x/results"):
        url = f"https://api.anthropic.com/v1/messages{rest}"
        assert arrives("127.0.0.1", f"/messages{rest}", version) == ("anthropic", url)
    with pytest.raises(AssertionError, match="no route"):
        arrives("127.0.0.1", "/messages")


def test_it_listens_on_loopback_only() -> None:
    assert [(listener.mode, listener.address) for listener in CONFIG.listeners] == [
        ("reverse", BASE.removeprefix("http://")),
        ("forward", "127.0.0.1:14002"),
        ("capture", "localhost:14003"),
    ]
