"""docs/configuration.md, written from the schema, the packaged files and real errors.

Run `python -m sidecar.config.reference > docs/configuration.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from sidecar.config.defaults import default_text, packaged
from sidecar.config.load import ConfigErrors, load
from sidecar.config.read.references import Kind
from sidecar.config.schema import schema

BASE: Final = "http://127.0.0.1:14001"

PROVIDERS: Final = (
    ("OpenAI", "openai", "/openai/v1"),
    ("Anthropic", "anthropic", "/anthropic"),
    ("Gemini", "gemini", "/gemini"),
    ("Azure OpenAI", "azure", "/azure/{resource}"),
    ("Azure AI services", "azure-cognitive", "/azure-cognitive/{resource}"),
    ("Azure AI Foundry", "azure-ai", "/azure-ai/{resource}"),
    ("Bedrock", "bedrock", "/bedrock/{region}"),
    ("Vertex AI", "vertex", "/vertex/{region}"),
    ("Vertex AI, global", "vertex-global", "/vertex/global"),
    ("Cerebras", "cerebras", "/cerebras/v1"),
    ("Cohere", "cohere", "/cohere"),
    ("DashScope", "dashscope", "/dashscope/compatible-mode/v1"),
    ("DashScope, international", "dashscope-intl", "/dashscope-intl/compatible-mode/v1"),
    ("DeepSeek", "deepseek", "/deepseek"),
    ("Fireworks", "fireworks", "/fireworks/inference/v1"),
    ("Groq", "groq", "/groq/openai/v1"),
    ("Mistral", "mistral", "/mistral/v1"),
    ("Moonshot", "moonshot", "/moonshot/v1"),
    ("Moonshot, China", "moonshot-cn", "/moonshot-cn/v1"),
    ("NVIDIA", "nvidia", "/nvidia/v1"),
    ("OpenRouter", "openrouter", "/openrouter/api/v1"),
    ("Perplexity", "perplexity", "/perplexity"),
    ("Together", "together", "/together/v1"),
    ("xAI", "xai", "/xai/v1"),
    ("Z.ai", "zai", "/zai/api/paas/v4"),
    ("Zhipu", "zhipu", "/zhipu/api/paas/v4"),
    ("Ollama on this machine", "ollama", "/ollama/v1"),
)
"""What each is called, its upstream, and the path of the base URL that its clients expect."""


def reference() -> str:
    """The page, in Markdown."""
    parts = {
        "example": packaged("example.yaml").rstrip(),
        "broken": packaged("broken.yaml").rstrip(),
        "errors": _errors(packaged("broken.yaml")),
        "providers": "\n".join(_providers()),
        "sections": "\n".join(_sections(schema()["$defs"])),
    }
    text = packaged("reference.md")
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def _errors(text: str) -> str:
    try:
        load(text, file="sidecar.yaml", resolve=_nothing_is_set)
    except ConfigErrors as errors:
        return str(errors)
    raise AssertionError("the example of a broken configuration is a good one")


def _nothing_is_set(kind: Kind, name: str) -> str:
    raise LookupError(name)


def _providers() -> Iterator[str]:
    upstreams = load(default_text(), file="").config.upstreams
    yield "| provider | base URL | arrives at | API |"
    yield "|---|---|---|---|"
    for title, name, path in PROVIDERS:
        upstream = upstreams[name]
        arrives = f"{upstream.endpoints[0].url}{_dropped(path)}"
        yield f"| {title} | `{BASE}{path}` | `{arrives}` | {upstream.dialect} |"


def _dropped(path: str) -> str:
    """*path* without the provider's prefix: one segment, or two if the second is a choice."""
    _, _, second, *rest = (*path.split("/"), "")
    rest = [second, *rest] if second not in ("{resource}", "{region}", "global") else rest
    return "".join(f"/{part}" for part in rest if part)


def _sections(sections: dict[str, Any]) -> Iterator[str]:
    """A table for every section, in the order in which they are first met."""
    met: dict[str, str] = {"Config": "Top level"}
    left = dict(sections)
    while met:
        name = next(iter(met))
        heading = met.pop(name)
        section = left.pop(name)
        yield from (f"### {heading}", "", section["description"], "")
        yield from ("| key | type | default | meaning |", "|---|---|---|---|")
        inner: dict[str, str] = {}
        for key, value in section["properties"].items():
            yield _row(key, value, key in section["required"])
            for choice in value.get("anyOf", (value,)):
                inner |= {ref: _place(heading, key, choice) for ref in _references(choice)}
        yield ""
        met = {ref: place for ref, place in (inner | met).items() if ref in left}


def _place(heading: str, key: str, value: dict[str, Any]) -> str:
    inside = {"array": "[]", "object": ".*name*"}.get(value.get("type", ""), "")
    return f"{key}{inside}" if heading == "Top level" else f"{heading}.{key}{inside}"


def _references(value: Any) -> Iterator[str]:
    """The names of the sections that a schema refers to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def _row(key: str, value: dict[str, Any], required: bool) -> str:
    meaning = value["description"].replace("|", "\\|")
    default = "required" if required else _default(value)
    return f"| `{key}` | {_type(value)} | {default} | {meaning} |"


_MOST_WORDS: Final = 12


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return ""
    default = value["default"]
    if default in ({}, ()):
        return "`{}`" if default == {} else "`[]`"
    return f"`{'null' if default is None else default}`"


def _type(value: dict[str, Any]) -> str:
    """A schema in a few words of a table."""
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "enum" in value:
        words = [f"`{word}`" for word in value["enum"]]
        return ", ".join(words if len(words) <= _MOST_WORDS else [*words[:3], "..."])
    if "$ref" in value or "type" not in value:
        return "mapping"
    if value["type"] == "array":
        plural = "" if "enum" in value["items"] else "s"
        return f"list of {_type(value['items'])}{plural}"
    if value["type"] == "object":
        inner = value.get("additionalProperties")  # absent: any value
        return f"mapping of names to {'value' if inner is None else _type(inner)}s"
    if "minimum" in value:
        return f"{value['minimum']} to {value['maximum']}"
    return str(value.get("title", value["type"]))


if __name__ == "__main__":
    sys.stdout.write(reference())
