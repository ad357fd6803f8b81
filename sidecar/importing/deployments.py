"""What LiteLLM's `model_list` says: where models are, and with which key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sidecar.importing.providers import COMPATIBLE, PROVIDERS, provider_of
from sidecar.importing.values import checked, is_name, is_url, mapping, printable, variable

_PARAMS: Final = {
    "model", "api_base", "base_url", "api_key", "api_version", "weight", "rpm", "tpm",
    "input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost",
    "cache_creation_input_token_cost", "timeout", "stream_timeout", "max_retries",
    "custom_llm_provider",
}  # fmt: skip
"""Of a deployment, what is understood."""
_PRICES: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached",
    "cache_creation_input_token_cost": "cache_write",
}
_MILLION: Final = 1_000_000
_TEXTS: Final = {"model", "api_base", "base_url", "api_key", "custom_llm_provider"}
_BOUNDS: Final = {
    "weight": (0, 1e6),
    "rpm": (1, 1e12),
    "tpm": (1, 1e12),
    "timeout": (0.001, 1e6),
    "stream_timeout": (0.001, 1e6),
    "max_retries": (0, 1e6),
    **dict.fromkeys(_PRICES, (0, 1)),
}
"""Of a deployment's numbers."""


class Deployment(NamedTuple):
    """One entry of `model_list`."""

    name: str
    model: str
    provider: str
    url: str
    header: str
    key: str
    """What is sent in the header; empty: nothing is."""
    weight: int
    numbers: Mapping[str, float]
    """What else it says."""


class Deployments:
    """Reads entries; `notes` tells what of them has no counterpart, `prices` what models cost."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.prices: dict[str, dict[str, float]] = {}

    def groups(self, listed: Sequence[Any]) -> dict[str, list[Deployment]]:
        """Return those of `model_list` that can be used, by the name that callers ask for."""
        groups: dict[str, list[Deployment]] = {}
        for number, entry in enumerate(listed, 1):
            deployment = self._deployment(number, entry)
            if deployment is not None:
                groups.setdefault(deployment.name, []).append(deployment)
        return groups

    def _deployment(self, number: int, entry: Any) -> Deployment | None:
        entry = entry if isinstance(entry, dict) else {}
        params, name = entry.get("litellm_params"), entry.get("model_name")
        if not isinstance(params, dict) or not isinstance(name, str):
            self.notes.append(f"entry {number} of model_list has no model_name or litellm_params")
            return None
        texts = self._texts(name, params)
        asked = texts.get("model", "")
        if not is_name(name) or (texts.keys() & params.keys()) != (_TEXTS & params.keys()):
            self.notes.append(f"entry {number} of model_list is left out: {name!r} can't be used")
            return None
        base = texts.get("api_base") or texts.get("base_url") or ""
        provider, model = provider_of(asked)
        provider = texts.get("custom_llm_provider") or provider
        if not provider and base:
            provider = "openai_like"
        if provider not in PROVIDERS:
            self.notes.append(
                f"{name}: {asked!r} is left out: the sidecar translates no APIs, and knows no "
                "address where this provider takes OpenAI's"
            )
            return None
        known = PROVIDERS[provider]
        url = _address(base, known.path) if base else known.base
        if not url or not is_name(model):
            why = "its api_base is no URL" if base else "it has no api_base"
            why = why if is_name(model) else "it names no model"
            self.notes.append(f"{name}: {asked!r} is left out: {why}")
            return None
        if provider in COMPATIBLE:
            self.notes.append(f"{name}: {COMPATIBLE[provider]}")
        for other in sorted(params.keys() - _PARAMS):
            self.notes.append(f"{name}: litellm_params.{other} has no counterpart")
        numbers = self._numbers(f"{name}: litellm_params", params)
        costs = self._numbers(f"{name}: model_info", mapping(entry, "model_info"), _PRICES)
        self._price(model, {**numbers, **costs})
        weight = numbers.get("weight") or numbers.get("rpm") or numbers.get("tpm") or 1
        return Deployment(
            re.sub(r"\*+", "*", name),
            model,
            provider,
            url,
            known.header,
            self._key(name, number, known.header, known.key, texts.get("api_key")),
            max(1, round(weight * 1000)),  # LiteLLM's may be fractions
            numbers,
        )

    def _texts(self, name: str, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the texts among *params*. An absent or empty one is ""."""
        texts: dict[str, str] = {}
        for key in sorted(_TEXTS & params.keys()):
            if isinstance(told := params[key] or "", str) and printable(told) == told:
                texts[key] = told
            else:
                self.notes.append(f"{name}: litellm_params.{key}: expected one line of text")
        return texts

    def _numbers(
        self, where: str, params: Mapping[str, Any], wanted: Iterable[str] = tuple(_BOUNDS)
    ) -> dict[str, float]:
        """Return the numbers among *params* that make sense, and tell of the others."""
        return {
            key: value
            for key in wanted
            if params.get(key) is not None
            and (value := checked(self.notes, f"{where}.{key}", params[key], *_BOUNDS[key]))
            is not None
        }

    def _key(self, name: str, number: int, header: str, told: str, key: str | None) -> str:
        if key:
            found = variable(key)
            if found is None:
                found = f"LLM_KEY_{number}"
                self.notes.append(
                    f"{name}: the key in the file is not copied. Put it into the environment as "
                    f"{found}, or into a file, and say ${{file:...}}"
                )
            told = found
        if not told:
            return ""
        value = f"${{env:{told}}}"
        return f"Bearer {value}" if header == "authorization" else value

    def _price(self, model: str, numbers: Mapping[str, float]) -> None:
        price = {
            ours: round(numbers[theirs] * _MILLION, 6)
            for theirs, ours in _PRICES.items()
            if theirs in numbers
        }
        if price:
            self.prices[model] = {"input": 0.0, "output": 0.0, **price}


def _address(base: str, path: str) -> str:
    """Return the URL of an endpoint, also one from the environment; empty if *base* is none."""
    name = variable(base)
    if name is not None:
        return _joined(f"${{env:{name}}}", path)
    url = _joined(base, path)
    return url if is_url(url) else ""


def _joined(base: str, path: str) -> str:
    base = base.rstrip("/")
    for end in ("/openai/v1", "/openai", "/v1"):
        if path.startswith("/openai") and base.endswith(end):
            base = base.removesuffix(end)
    return base if path and base.endswith(path) else base + path
