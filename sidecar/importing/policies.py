"""Makes policies of LiteLLM's settings, and tells those that have no counterpart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sidecar.importing.deployments import Deployment, mapping

Yaml = dict[str, Any]

_BALANCES: Final = {
    "simple-shuffle": None,
    "least-busy": "least_conn",
    "latency-based-routing": "dynamic",
}


def policy(router: Mapping[str, Any], everything: Mapping[str, Any], notes: list[str]) -> Yaml:
    """Return the policy of all routes; *notes* gets what has no counterpart."""
    made: Yaml = {}
    retries = router.get("num_retries", everything.get("num_retries"))
    if retries is not None:
        made["retry"] = {"max": min(int(retries), 10)}
    timeout = router.get("timeout", everything.get("request_timeout"))
    if timeout is not None:
        made.setdefault("timeouts", {})["total"] = _seconds(timeout)
    first = router.get("stream_timeout")
    if first is not None:
        made.setdefault("timeouts", {})["first_byte"] = _seconds(first)
    cooldown = router.get("cooldown_time")
    if cooldown is not None:
        made["breaker"] = {"open": _seconds(cooldown), "open_max": _seconds(cooldown)}
    cache = everything.get("cache")
    if cache:
        params = mapping(everything, "cache_params")
        made["cache"] = {"ttl": _seconds(params["ttl"])} if params.get("ttl") else {}
        if str(params.get("type", "local")) != "local":
            notes.append(
                "litellm_settings.cache_params: the cache is in memory. `store.redis` shares "
                "it among sidecars"
            )
    return made


def upstream_policy(same: Sequence[Deployment]) -> Yaml:
    """Return the limits and timers that the deployments of one upstream have together."""
    tokens: Yaml = {}
    for theirs, ours in (("rpm", "requests"), ("tpm", "total")):
        told = [int(each.params[theirs]) for each in same if each.params.get(theirs)]
        if len(told) == len(same):
            tokens[ours] = sum(told)
    made: Yaml = {}
    if tokens:
        made["limits"] = {"tokens": {**tokens, "when_exceeded": "fallback"}}
    timers = {
        ours: _seconds(same[0].params[theirs])
        for theirs, ours in (("timeout", "total"), ("stream_timeout", "first_byte"))
        if same[0].params.get(theirs)
    }
    if timers:
        made["timeouts"] = timers
    retries = same[0].params.get("max_retries")
    if retries is not None:
        made["retry"] = {"max": min(int(retries), 10)}
    return made


def balance(router: Mapping[str, Any], upstreams: Iterable[Yaml], notes: list[str]) -> None:
    """Give *upstreams* the balance that the router has; *notes* gets one without counterpart."""
    strategy = router.get("routing_strategy")
    if strategy is None:
        return
    if strategy not in _BALANCES:
        notes.append(
            f"router_settings.routing_strategy: {strategy} has no counterpart; calls are "
            "shared by weight"
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


def _seconds(told: object) -> str:
    return f"{float(str(told)):.3f}".rstrip("0").rstrip(".") + "s"
