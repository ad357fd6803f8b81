"""Where spans of calls go, and which."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Secret, Section
from sidecar.config.model.units import Duration, Share, Size
from sidecar.config.model.upstream import Tls


class Tracing(Section, frozen=True):
    """Spans of calls and their attempts, sent to an OpenTelemetry collector (OTLP over HTTP)."""

    endpoint: Annotated[
        str | None,
        Meta(
            description="The collector's URL, as `http://collector:4318`; `/v1/traces` is added. "
            "`null`: nothing is sent, whatever the environment says."
        ),
    ] = None
    sample: Annotated[
        Share,
        Meta(
            description="Part of the traces that begin here; for others, their caller has decided."
        ),
    ] = Share("100%")
    headers: Annotated[
        dict[str, Secret],
        Meta(
            max_length=100,
            description="Sent with each request, as `{authorization: Bearer ${file:...}}`. "
            "Values are never shown.",
        ),
    ] = {}
    resource: Annotated[
        dict[str, str],
        Meta(
            max_length=100,
            description="Attributes of where the spans come from, as `{service.name: shop}`. They "
            "win over `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.",
        ),
    ] = {}
    semconv: Annotated[
        Literal["1.41", "latest"],
        Meta(
            description='Which names of the conventions for generative AI. `"1.41"`, in quotes: '
            "the last stable release. `latest`: those in development, which may still change."
        ),
    ] = "1.41"
    content: Annotated[
        Size | None,
        Meta(
            description="Tell what was said, in the call's span: so much of the prompt and of the "
            "answer each. It may be personal, and whoever reads the spans reads it. `null`: not."
        ),
    ] = None
    tls: Annotated[Tls, Meta(description="For a collector with https.")] = Tls()
    gzip: Annotated[bool, Meta(description="Whether requests are compressed.")] = True
    timeout: Annotated[Duration, Meta(description="A request that takes longer has failed.")] = (
        Duration("10s")
    )
    interval: Annotated[
        Duration, Meta(description="How long the first call of a batch waits for others.")
    ] = Duration("5s")
    batch: Annotated[int, Meta(ge=1, le=2048, description="Calls in one request, at most.")] = 256
    max_queued: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Calls that wait for a slow collector, of 16 MiB at most; spans of more "
            "are dropped and counted.",
        ),
    ] = 2048
