"""What the spans are from: attributes of OpenTelemetry's resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from sidecar import __version__

NAME: Final = "llm-sidecar"


def resource(
    configured: Mapping[str, str], environment: Mapping[str, str], instance: str
) -> dict[str, str]:
    """Return the attributes: what is *configured* wins over the environment's.

    `OTEL_SERVICE_NAME` wins over `OTEL_RESOURCE_ATTRIBUTES`; empty ones count as absent
    (OpenTelemetry, resource SDK). Without a name of a service, the service is the sidecar.
    *instance*: an id of this process.
    """
    found = _listed(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if name := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    found |= configured
    if "service.name" not in found:
        found |= {"service.name": NAME, "service.version": __version__}
    return {"service.instance.id": instance, **found}


def _listed(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values; nothing of a list that is wrong."""
    found = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not key.strip() and not equals:
            continue
        try:
            value = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return {}
        if not key.strip() or not equals:
            return {}
        if value:
            found[unquote(key.strip())] = value
    return found
