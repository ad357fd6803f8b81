"""Where spans come from: the configuration, the environment, or the sidecar itself."""

from __future__ import annotations

import pytest

from sidecar import __version__
from sidecar.observe.resource import resource

OWN = {"service.name": "llm-sidecar", "service.version": __version__}


@pytest.mark.parametrize(
    ("configured", "environment", "found"),
    [
        ({}, {}, OWN),
        ({}, {"OTEL_SERVICE_NAME": "shop"}, {"service.name": "shop"}),
        ({}, {"OTEL_SERVICE_NAME": ""}, OWN),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,k8s.pod.name=p"},
         {"service.name": "a", "k8s.pod.name": "p"}),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"},
         {"service.name": "b"}),
        ({"service.name": "c"}, {"OTEL_SERVICE_NAME": "b"}, {"service.name": "c"}),
        ({"team": "x"}, {"OTEL_RESOURCE_ATTRIBUTES": "team=y,a= b%2C%3Dc ,"},
         OWN | {"team": "x", "a": "b,=c"}),
        # A variable of the pod that the downward API left empty; and lists that are wrong.
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=,a=b"}, OWN | {"a": "b"}),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "a=b,c"}, OWN),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "a=b,=c"}, OWN),
        ({}, {"OTEL_RESOURCE_ATTRIBUTES": "a=b,c=%ff"}, OWN),
        ({"service.instance.id": "mine"}, {}, OWN | {"service.instance.id": "mine"}),
    ],
)  # fmt: skip
def test_the_resource(
    configured: dict[str, str], environment: dict[str, str], found: dict[str, str]
) -> None:
    expected = {"service.instance.id": "id", **found}
    assert resource(configured, environment, "id") == expected
