"""What a call will probably be charged in tokens, before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import ModelUnknown
from sidecar.llm.charge import Output, output_ahead
from sidecar.llm.dialects import APIS, READABLE, Parameters
from sidecar.llm.estimate import input_of
from sidecar.proxy.layers.readable import Operations, plain_body
from sidecar.proxy.layers.shape import SHAPED

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.policy.outputs import Outputs
    from sidecar.proxy.call import Call
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.request import Request

_LARGEST: Final = 2**20
"""Bytes of a body whose parameters are read. It takes 1 ms, in which the loop does nothing else."""


class Charge(NamedTuple):
    """The model that is asked, and tokens. A call that asks no model has none."""

    model: str
    input: int
    output: Output


class Charges:
    """For the calls of one upstream."""

    def __init__(self, dialect: Dialect, hold: int) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._api = APIS[dialect]
        self._dialect = dialect
        self._hold = hold
        self._operations = Operations(self._api)

    def model(self, call: Call, request: Request) -> str:
        """Return the model that is asked; "" if there is none."""
        return request.model or call.model or self._operations.target(request).model or ""

    async def of(self, call: Call, request: Request, outputs: Outputs) -> Charge:
        """Estimate it; *outputs*: what answers usually have."""
        target = self._operations.target(request)
        model = self.model(call, request)
        nothing = Charge(model, 0, Output(0, guessed=True))
        if target.operation not in READABLE or call.head.upgrade:
            return nothing
        try:
            body = await plain_body(call, request, self._hold)
        except ModelUnknown:  # it can't be decompressed
            body = None
        charge = nothing._replace(input=call.body.size // 4 if body is None else input_of(body))
        if target.operation not in SHAPED:
            return charge
        asked = Parameters()
        if body is not None and len(body) <= _LARGEST:
            asked = self._api.parameters(body)
        return charge._replace(output=output_ahead(self._dialect, asked, outputs.expected(model)))


def learn(outputs: Outputs, model: str, attempt: AttemptRecord) -> None:
    """Learn how long the answer of *model* was, if it came whole and told that."""
    said = attempt.said
    usage = None if said is None or said.verdict != "complete" else said.usage
    if usage is not None and not usage.estimated:
        outputs.learn(model, usage.output)
