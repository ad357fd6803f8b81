"""What we export, as OpenTelemetry's own protobuf classes read it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = ("string_value", "bool_value", "int_value", "double_value")


def value_of(any_value: Any) -> object:
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in any_value.array_value.values]
    assert kind in KINDS
    return getattr(any_value, kind)


def attributes_of(message: Any) -> dict[str, object]:
    pairs = [(each.key, value_of(each.value)) for each in message.attributes]
    assert len(dict(pairs)) == len(pairs)  # keys are unique
    return dict(pairs)


@dataclass
class Export:
    """One request."""

    resource: dict[str, object]
    scope: tuple[str, str]
    schema_urls: set[str]
    spans: list[Any]
    attributes: list[dict[str, object]] = field(default_factory=list)


def decoded(body: bytes, packed: bool = False) -> Export:
    message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
    [whole] = message.resource_spans
    [scoped] = whole.scope_spans
    return Export(
        attributes_of(whole.resource),
        (scoped.scope.name, scoped.scope.version),
        {whole.schema_url, scoped.schema_url},
        list(scoped.spans),
        [attributes_of(span) for span in scoped.spans],
    )
