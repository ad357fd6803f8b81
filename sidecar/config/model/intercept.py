"""What listeners of the modes `forward` and `capture` may do, and what they look at."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Duration

Mode = Literal["reverse", "forward", "capture"]


class Intercept(Section, frozen=True):
    """For listeners of mode `forward` and `capture`: what is intercepted, what passed through."""

    ca: Annotated[
        str | None,
        Meta(
            description="Folder of the local CA, which is made at its first use. Absent: "
            "`llm-sidecar/ca` in `$XDG_STATE_HOME` or `~/.local/state`."
        ),
    ] = None
    publish: Annotated[
        str | None,
        Meta(
            description="Folder into which, at the start, the CA's certificate (`ca.crt`), the "
            "system's roots with it (`bundle.pem`) and a Java trust store (`truststore.p12`) are "
            "written, for programs of other users or containers."
        ),
    ] = None
    clients: Annotated[
        tuple[str, ...],
        Meta(max_length=1000, description="Networks whose clients may use `forward` listeners."),
    ] = ("127.0.0.0/8", "::1/128")
    allow: Annotated[
        tuple[str, ...],
        Meta(
            max_length=1000,
            description="Networks, and hosts (`db.local`, `*.internal`), that `forward` listeners "
            "may pass connections on to though their addresses are not public.",
        ),
    ] = ()
    sniff: Annotated[
        Duration,
        Meta(
            description="How long a client may be silent before its connection is passed on "
            "unseen: what a protocol costs at first in which the server speaks first."
        ),
    ] = Duration("500ms")
    remember: Annotated[
        Duration,
        Meta(
            description="How long a client that refused our certificate is passed through, and a "
            "server that spoke first is not waited for."
        ),
    ] = Duration("1h")
