"""What LiteLLM's `model_list` says: where models are, and with which key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sidecar.importing.providers import COMPATIBLE, PROVIDERS, provider_of

_ENVIRONMENT: Final = "os.environ/"
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
    params: Mapping[str, Any]


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
        asked = str(params.get("model", ""))
        base = _value(params.get("api_base") or params.get("base_url") or "")
        provider, model = provider_of(asked)
        provider = str(params.get("custom_llm_provider") or provider)
        if not provider and base:
            provider = "openai_like"
        if provider not in PROVIDERS:
            self.notes.append(
                f"{name}: {asked!r} is left out: the sidecar translates no APIs, and knows no "
                "address where this provider takes OpenAI's"
            )
            return None
        known = PROVIDERS[provider]
        url = _joined(base, known.path) if base else known.base
        if not url:
            self.notes.append(f"{name}: {asked!r} is left out: it has no api_base")
            return None
        if provider in COMPATIBLE:
            self.notes.append(f"{name}: {COMPATIBLE[provider]}")
        for other in sorted(set(params) - _PARAMS):
            self.notes.append(f"{name}: litellm_params.{other} has no counterpart")
        self._price(model, {**params, **mapping(entry, "model_info")})
        return Deployment(
            re.sub(r"\*+", "*", name),
            model,
            provider,
            url,
            known.header,
            self._key(name, number, known.header, known.key, params.get("api_key")),
            max(1, int(params.get("weight") or params.get("rpm") or params.get("tpm") or 1)),
            params,
        )

    def _key(self, name: str, number: int, header: str, variable: str, told: object) -> str:
        if told and not str(told).startswith(_ENVIRONMENT):
            variable = f"LLM_KEY_{number}"
            self.notes.append(
                f"{name}: the key in the file is not copied. Put it into the environment as "
                f"{variable}, or into a file, and say ${{file:...}}"
            )
        elif told:
            variable = str(told).removeprefix(_ENVIRONMENT)
        if not variable:
            return ""
        value = f"${{env:{variable}}}"
        return f"Bearer {value}" if header == "authorization" else value

    def _price(self, model: str, params: Mapping[str, Any]) -> None:
        price = {
            ours: round(float(params[theirs]) * _MILLION, 6)
            for theirs, ours in _PRICES.items()
            if params.get(theirs) is not None
        }
        if price:
            self.prices[model] = {"input": 0.0, "output": 0.0, **price}


def _value(told: object) -> str:
    """An address, also one from the environment."""
    text = str(told)
    if text.startswith(_ENVIRONMENT):
        return f"${{env:{text.removeprefix(_ENVIRONMENT)}}}"
    return text


def _joined(base: str, path: str) -> str:
    base = base.rstrip("/")
    for end in ("/openai/v1", "/openai", "/v1"):
        if path.startswith("/openai") and base.endswith(end):
            base = base.removesuffix(end)
    return base if path and base.endswith(path) else base + path


def mapping(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what stands at *key*, {} if that is no mapping."""
    told = of.get(key) or {}
    return told if isinstance(told, dict) else {}
