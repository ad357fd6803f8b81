"""Makes policies of LiteLLM's settings, and tells those that have no counterpart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sidecar.importing.deployments import Deployment
from sidecar.importing.values import checked, is_on, mapping, shown

Yaml = dict[str, Any]

_BALANCES: Final = {
    "simple-shuffle": None,
    "least-busy": "least_conn",
    "latency-based-routing": "dynamic",
}
_Bounds = tuple[float, float]

_SECONDS: Final = (0.001, 1e6)
_MOST_RETRIES: Final = 10
_MOST: Final = 10**12
"""Calls or tokens of a limit."""


def policy(router: Mapping[str, Any], everything: Mapping[str, Any], notes: list[str]) -> Yaml:
    """Return the policy of all routes; *notes* gets what does not make sense."""
    sections = {"router_settings": router, "litellm_settings": everything}

    def said(bounds: _Bounds, *places: tuple[str, str]) -> float | None:
        for section, key in places:
            if (told := sections[section].get(key)) is not None:
                return checked(notes, f"{section}.{key}", told, *bounds)
        return None

    made: Yaml = {}
    of_router, of_all = [(name, "num_retries") for name in sections]
    if (retries := said((0, 1e6), of_router, of_all)) is not None:
        made["retry"] = {"max": min(int(retries), _MOST_RETRIES)}
    total = ("router_settings", "timeout"), ("litellm_settings", "request_timeout")
    if timeout := said(_SECONDS, *total):
        made.setdefault("timeouts", {})["total"] = _seconds(timeout)
    if first := said(_SECONDS, ("router_settings", "stream_timeout")):
        made.setdefault("timeouts", {})["first_byte"] = _seconds(first)
    if cooldown := said(_SECONDS, ("router_settings", "cooldown_time")):
        made["breaker"] = {"open": _seconds(cooldown), "open_max": _seconds(cooldown)}
    if is_on(everything.get("cache")):
        made["cache"] = _cache(mapping(everything, "cache_params"), notes)
    return made


def upstream_policy(same: Sequence[Deployment]) -> Yaml:
    """Limits and timers that the deployments of one upstream have together."""
    tokens: Yaml = {}
    for theirs, ours in (("rpm", "requests"), ("tpm", "total")):
        told = [int(each.numbers[theirs]) for each in same if theirs in each.numbers]
        if len(told) == len(same):
            tokens[ours] = min(sum(told), _MOST)
    made: Yaml = {}
    if tokens:
        made["limits"] = {"tokens": {**tokens, "when_exceeded": "fallback"}}
    said = same[0].numbers
    timers = {
        ours: _seconds(said[theirs])
        for theirs, ours in (("timeout", "total"), ("stream_timeout", "first_byte"))
        if theirs in said
    }
    if timers:
        made["timeouts"] = timers
    if "max_retries" in said:
        made["retry"] = {"max": min(int(said["max_retries"]), _MOST_RETRIES)}
    return made


def balance(router: Mapping[str, Any], upstreams: Iterable[Yaml], notes: list[str]) -> None:
    """Give *upstreams* the balance that the router has; *notes* gets one without counterpart."""
    strategy = router.get("routing_strategy")
    if strategy is None:
        return
    if not isinstance(strategy, str) or strategy not in _BALANCES:
        notes.append(
            f"router_settings.routing_strategy: {shown(strategy)} has no counterpart; calls "
            "are shared by weight"
        )
        return
    ours = _BALANCES[strategy]
    for upstream in upstreams if ours else ():
        if len(upstream["endpoints"]) > 1:
            upstream["balance"] = ours


def left_out(read: Mapping[str, Any]) -> Iterator[str]:
    """Tell each setting of the file that nothing is made of."""
    router, everything = mapping(read, "router_settings"), mapping(read, "litellm_settings")
    known = {
        "router_settings": (
            router,
            {"fallbacks", "num_retries", "timeout", "stream_timeout", "cooldown_time",
             "routing_strategy", "model_group_alias"},
        ),
        "litellm_settings": (
            everything,
            {"fallbacks", "num_retries", "request_timeout", "cache", "cache_params"},
        ),
    }  # fmt: skip
    for name, (section, understood) in known.items():
        for key in sorted(set(section) - understood):
            yield f"{name}.{key} has no counterpart, or is set otherwise"
    for key in sorted(mapping(read, "general_settings")):
        what = "callers get keys of their own with `listeners[].access`" if (
            key == "master_key"
        ) else "has no counterpart, or is set otherwise"  # fmt: skip
        yield f"general_settings.{key}: {what}"
    told = {"model_list", "router_settings", "litellm_settings", "general_settings"}
    for key in sorted(set(read) - told):
        yield f"{key} has no counterpart, or is set otherwise"


def _cache(params: Mapping[str, Any], notes: list[str]) -> Yaml:
    if str(params.get("type", "local")) != "local":
        notes.append(
            "litellm_settings.cache_params: the cache is in memory. `store.redis` shares it among "
            "sidecars"
        )
    if params.get("ttl") is None:
        return {}
    ttl = checked(notes, "litellm_settings.cache_params.ttl", params["ttl"], *_SECONDS)
    return {"ttl": _seconds(ttl)} if ttl else {}


def _seconds(told: float) -> str:
    return f"{told:.3f}".rstrip("0").rstrip(".") + "s"
