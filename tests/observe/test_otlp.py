"""What is written by hand is what OpenTelemetry's own protobuf classes read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from sidecar.observe.otlp import LONGEST, Value, attributes, rejected, request
from tests.observe.exported import attributes_of, decoded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(TEXTS, max_size=3).map(tuple)
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_attributes(values: dict[str, Value]) -> None:
    read = attributes_of(Resource.FromString(attributes(values, b"\x0a")))
    assert read == {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    kinds = {key: bool if isinstance(v, bool) else type(v) for key, v in values.items()}
    assert {k: tuple if isinstance(v, list) else type(v) for k, v in read.items()} == kinds


@pytest.mark.parametrize("text", ["\ud800", "a" * 9999, "\x00", "é" * 9999])
def test_a_text_is_cut_and_always_unicode(text: str) -> None:
    read = attributes_of(Resource.FromString(attributes({"a": text}, b"\x0a")))
    assert read == {"a": text.replace("\ud800", "?")[:LONGEST]}


def test_a_request_without_spans() -> None:
    export = decoded(request({"service.name": "x"}, ("n", "1"), "https://schema", []))
    assert export.resource == {"service.name": "x"}
    assert (export.scope, export.schema_urls, export.spans) == (("n", "1"), {"https://schema"}, [])


@pytest.mark.parametrize("count", [0, 1, 300, 2**40])
def test_rejected_spans_are_counted(count: int) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.error_message = "too old"
    response.partial_success.rejected_spans = count
    assert rejected(response.SerializeToString()) == count


@pytest.mark.parametrize("body", [b"", b"{}", b"\x0a", b"\x0a\xff", b"\x0a\x02\x08", b"\x80" * 99])
def test_a_response_that_says_nothing(body: bytes) -> None:
    assert rejected(body) == 0


@given(st.binary(max_size=40))
def test_any_response_can_be_read(body: bytes) -> None:
    assert isinstance(rejected(body), int)
